import { connect, type ConnectionOptions } from "./connection.ts";

export interface UsageOptions extends ConnectionOptions {
  json?: boolean;
  from?: string;
  to?: string;
}

/** Prints what was used by day and stage, and what it cost. */
export async function usage(options: UsageOptions): Promise<number> {
  const client = await connect(options);
  const range = {
    ...(options.from ? { from: options.from } : {}),
    ...(options.to ? { to: options.to } : {}),
  };
  const days = [];
  let report = await client.getUsage({ ...range, limit: 100 });
  days.push(...report.data);
  while (report.next_cursor !== null) {
    // The range that it answered for, and not today's default: a cursor is of one range.
    const { from, to, next_cursor: cursor } = report;
    report = await client.getUsage({ from, to, limit: 100, cursor });
    days.push(...report.data);
  }
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ ...report, data: days }, null, 2)}\n`);
    return 0;
  }
  for (const { day, usd, stages } of days) {
    process.stdout.write(`${day}  $${usd.toFixed(6)}\n`);
    for (const { stage, unit, quantity, events } of stages) {
      const amount = `${quantity.toFixed(2)} ${unit.replace("_", " ")}s`;
      process.stdout.write(`  ${stage.padEnd(16)} ${amount.padStart(28)}  ${events} times\n`);
    }
  }
  if (days.length === 0) process.stdout.write(`nothing from ${report.from} to ${report.to}\n`);
  return 0;
}
