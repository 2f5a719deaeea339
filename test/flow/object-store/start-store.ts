import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { S3Client } from "@aws-sdk/client-s3";
import { AwsV4Signer } from "aws4fetch";
import { pino } from "pino";
import {
  type ObjectStoreOptions,
  createObjectStore,
} from "../../../scripts/planet/object-store/create-object-store.ts";

export const REGION = "us-east-1";
export const BUCKET = "antiphon-test";
export const CREDENTIALS = { accessKeyId: "AKTEST", secretAccessKey: "a-secret-of-the-test" };

/** A running store on a free port; `data` is its folder, which outlives `stop` until `remove`. */
export async function startStore(options: Partial<ObjectStoreOptions> & { port?: number } = {}) {
  const { port: wanted = 0, ...rest } = options;
  const data = options.dataDir ?? (await mkdtemp(join(tmpdir(), "object-store-")));
  const store = await createObjectStore({
    region: REGION,
    bucket: BUCKET,
    credentials: [CREDENTIALS],
    log: pino({ level: "silent" }),
    ...rest,
    dataDir: data,
  });
  const port = await store.listen(wanted);
  const endpoint = `http://127.0.0.1:${port}`;
  const region = options.region ?? REGION;
  const client = new S3Client({
    endpoint,
    region,
    credentials: CREDENTIALS,
    forcePathStyle: true,
    maxAttempts: 1,
  });
  return {
    store,
    port,
    endpoint,
    region,
    data,
    client,
    async stop() {
      client.destroy();
      await store.close();
    },
    async remove() {
      client.destroy();
      await store.close();
      await rm(data, { recursive: true, force: true });
    },
  };
}

export type RunningStore = Awaited<ReturnType<typeof startStore>>;

export interface SignOptions {
  method?: string;
  key?: string;
  headers?: Record<string, string>;
  query?: Record<string, string>;
  /** How long before now it was signed, seconds. */
  age?: number;
  accessKeyId?: string;
  secretAccessKey?: string;
  /** Body of a header-signed request. */
  body?: string;
}

/** Signs as the edge does, with aws4fetch and every header. */
export async function sign(
  { endpoint, region }: Pick<RunningStore, "endpoint" | "region">,
  { method = "GET", key = "a.txt", headers = {}, query = {}, age = 0, ...rest }: SignOptions,
  where: "query" | "header" = "query",
) {
  const url = new URL(`${endpoint}/${BUCKET}/${key}`);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  const datetime = new Date(Date.now() - age * 1000).toISOString().replace(/[:-]|\.\d{3}/g, "");
  const { body, ...credentials } = { ...CREDENTIALS, ...rest };
  const signed = await new AwsV4Signer({
    ...credentials,
    method,
    url: url.href,
    headers,
    region,
    service: "s3",
    signQuery: where === "query",
    allHeaders: true,
    datetime,
    ...(body === undefined ? {} : { body }),
  }).sign();
  return { url: signed.url.href, headers: Object.fromEntries(signed.headers) };
}

/** The status and S3's error code, "" when there is none. */
export async function outcome(answer: Response): Promise<[number, string]> {
  const text = await answer.text();
  return [answer.status, /<Code>(\w+)<\/Code>/.exec(text)?.[1] ?? ""];
}

/** Every file with bytes of objects, parts or unfinished uploads. */
export async function bytesFiles(data: string): Promise<string[]> {
  const entries = await readdir(data, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && !entry.name.endsWith(".json"))
    .map((entry) => entry.name);
}
