import { pino } from "pino";
import { z } from "zod";
import { createObjectStore } from "./create-object-store.ts";
import { replicationRuleSchema } from "./replication-rules.ts";

const json = <T extends z.ZodType>(schema: T) =>
  z
    .string()
    .transform((text, context) => {
      try {
        return JSON.parse(text) as unknown;
      } catch {
        context.addIssue({ code: "custom", message: "is not JSON" });
        return z.NEVER;
      }
    })
    .pipe(schema);

const credentialsSchema = z.strictObject({
  accessKeyId: z.string().min(1),
  secretAccessKey: z.string().min(8),
});
const peerSchema = z.strictObject({
  region: z.string().min(1),
  endpoint: z.url({ protocol: /^https?$/ }).transform((url) => new URL(url).origin),
  bucket: z.string().min(3),
});

const environmentSchema = z.object({
  PORT: z.coerce.number().int().min(0).max(65_535),
  DATA_DIR: z.string().min(1),
  REGION: z.string().min(1),
  ACCESS_KEY_ID: z.string().min(1),
  SECRET_ACCESS_KEY: z.string().min(8),
  EXTRA_CREDENTIALS: json(z.array(credentialsSchema)).default([]),
  BUCKET: z.string().min(3),
  PEERS: json(z.array(peerSchema)).default([]),
  REPLICATION: json(z.array(replicationRuleSchema)).default([]),
  REPLICATION_DELAY_MS: z.coerce.number().int().min(0).default(1500),
  MAX_OBJECT_BYTES: z.coerce
    .number()
    .int()
    .min(1)
    .default(5 * 1024 ** 3),
  LOG_LEVEL: z.string().default("info"),
});

const parsed = environmentSchema.safeParse(process.env);
if (!parsed.success) {
  // The issues name variables, never their values: two of them are secret.
  const reasons = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
  process.stderr.write(`The object store cannot start.\n${reasons.join("\n")}\n`);
  process.exit(78);
}
const environment = parsed.data;
const log = pino({
  level: environment.LOG_LEVEL,
  base: { service: "object-store", region: environment.REGION },
});

const store = await createObjectStore({
  dataDir: environment.DATA_DIR,
  region: environment.REGION,
  bucket: environment.BUCKET,
  credentials: [
    { accessKeyId: environment.ACCESS_KEY_ID, secretAccessKey: environment.SECRET_ACCESS_KEY },
    ...environment.EXTRA_CREDENTIALS,
  ],
  peers: environment.PEERS,
  replication: environment.REPLICATION,
  replicationDelayMs: environment.REPLICATION_DELAY_MS,
  maxObjectBytes: environment.MAX_OBJECT_BYTES,
  log,
});
await store.listen(environment.PORT);

let stopping = false;
for (const name of ["SIGTERM", "SIGINT"] as const) {
  process.on(name, () => {
    if (stopping) return;
    stopping = true;
    log.info({ signal: name }, "stopping");
    store.close().then(
      () => process.exit(0),
      (error: unknown) => {
        log.fatal({ err: error }, "could not stop cleanly");
        process.exit(1);
      },
    );
  });
}
