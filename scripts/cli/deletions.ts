import type { DeletionReceipt, DeletionScope } from "../../shared/contracts/deletions.ts";
import { verifyReceipt } from "../../shared/signing/receipt.ts";
import { connect, UsageError, type ConnectionOptions } from "./connection.ts";

export interface DeleteOptions extends ConnectionOptions {
  json?: boolean;
  user?: string;
  all?: boolean;
}
export interface DeletionsOptions extends ConnectionOptions {
  json?: boolean;
  verify?: boolean;
}

const print = (line: string): void => void process.stdout.write(`${line}\n`);

/** Deletes a job's data, an end user's, or all of the tenant's, and prints the receipt so far. */
export async function deleteData(job: string | undefined, options: DeleteOptions): Promise<number> {
  const client = await connect(options);
  show(await client.createDeletion(scopeOf(job, options)), options);
  return 0;
}

/** Prints a receipt. With `verify`, exits 1 unless the deployment's published keys signed it, to the letter. */
export async function showDeletion(id: string, options: DeletionsOptions): Promise<number> {
  const client = await connect(options);
  const receipt = await client.getDeletion(id);
  show(receipt, options);
  if (!options.verify) return 0;
  const verified = await verifyReceipt(await client.receiptKeys(), receipt);
  process.stderr.write(
    verified ? "the signature is valid\n" : "the signature is NOT of this deployment\n",
  );
  return verified ? 0 : 1;
}

function scopeOf(job: string | undefined, { user, all }: DeleteOptions): DeletionScope {
  const given = [job, user, all].filter((each) => each !== undefined && each !== false);
  if (given.length !== 1) throw new UsageError("give a job's id, or --user <id>, or --all");
  if (job !== undefined) return { job_id: job };
  return user === undefined ? { all: true } : { user_id: user };
}

function show(receipt: DeletionReceipt, { json }: { json?: boolean }): void {
  if (json) return print(JSON.stringify(receipt, null, 2));
  const { id, status, requested_at, completed_at, edge, regions, kept } = receipt;
  print(`${id}  ${status}`);
  print(`  asked for  ${requested_at}${completed_at ? `, done ${completed_at}` : ""}`);
  print(`  ${"edge".padEnd(20)} ${edge ? tell(edge.removed) : "waits"}`);
  for (const { region, stores } of regions) {
    if (stores.length === 0) print(`  ${region.padEnd(20)} waits`);
    for (const { store, removed } of stores) {
      print(`  ${`${region} ${store}`.padEnd(20)} ${tell(removed)}`);
    }
  }
  for (const what of kept) print(`  kept: ${what}`);
}

function tell(removed: Record<string, number>): string {
  const some = Object.entries(removed).filter(([, count]) => count > 0);
  return some.length === 0
    ? "nothing was there"
    : some.map(([kind, count]) => `${count} ${kind.replaceAll("_", " ")}`).join(", ");
}
