import { exampleIds, type ApiExample } from "./api-example.ts";

const { job, deletion, created_at, finished_at } = exampleIds;

const stores = (jobs: number) => [
  { store: "redis", removed: { jobs, results: jobs, stages: jobs }, done_at: finished_at },
  { store: "postgres", removed: { jobs, results: jobs }, done_at: finished_at },
  { store: "objects", removed: { uploads: jobs, audio: jobs }, done_at: finished_at },
];
const receipt = {
  id: deletion,
  tenant_id: "ten_acme",
  scope: { user_id: "caller-17" },
  requested_at: created_at,
  status: "completed",
  completed_at: finished_at,
  edge: { removed: { ledger_jobs: 1, stored_answers: 1 }, done_at: finished_at },
  regions: [
    { region: "us-east", done_at: finished_at, stores: stores(1) },
    { region: "eu-west", done_at: finished_at, stores: stores(0) },
    { region: "ap-south", done_at: finished_at, stores: stores(0) },
  ],
  kept: ["usage: quantities and cost by job and stage, without content"],
  issued_at: finished_at,
  jws: "eyJhbGciOiJFZERTQSIsInR5cCI6ImFudGlwaG9uLWRlbGV0aW9uLXJlY2VpcHQiLCJraWQiOiJyMSJ9.…",
};

/** With the npm package jose; any JOSE library will do. */
const VERIFY = `import { compactVerify, createRemoteJWKSet } from "jose";

const { URL: api, KEY: key, DELETION: id } = process.env;
const answer = await fetch(\`\${api}/v1/deletions/\${id}\`, { headers: { authorization: \`Bearer \${key}\` } });
const receipt = await answer.json();

// Throws unless one of the published keys signed it. What counts is what was signed, not what stands beside it.
const keys = createRemoteJWKSet(new URL("/.well-known/jwks.json", api));
const { payload } = await compactVerify(receipt.jws, keys);
const { status, regions } = JSON.parse(new TextDecoder().decode(payload));
console.log(status, regions.map(({ region, done_at }) => \`\${region}: \${done_at ?? "not yet"}\`).join(", "));`;

/** Of the calls that delete. */
export const deletionExamples: readonly ApiExample[] = [
  {
    operationId: "createDeletion",
    method: "POST",
    path: "/v1/deletions",
    headers: { "idempotency-key": "deletion-1" },
    json: { user_id: "caller-17" },
    answer: {
      status: 202,
      body: receipt,
    },
  },
  {
    operationId: "getDeletion",
    method: "GET",
    path: `/v1/deletions/${deletion}`,
    answer: { status: 200, body: receipt },
    program: { title: "Verify a receipt", text: VERIFY },
  },
  {
    operationId: "deleteJob",
    method: "DELETE",
    path: `/v1/jobs/${job}`,
    answer: { status: 202, body: { ...receipt, scope: { job_id: job } } },
  },
  {
    operationId: "getReceiptKeys",
    method: "GET",
    path: "/.well-known/jwks.json",
    answer: {
      status: 200,
      body: {
        keys: [
          {
            kty: "OKP",
            crv: "Ed25519",
            kid: "r1",
            x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            alg: "EdDSA",
            use: "sig",
          },
        ],
      },
    },
  },
];
