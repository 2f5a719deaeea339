/** Ids, times and a hash that the examples share. */
export const exampleIds = {
  job: "job_use_0199c2a4-77aa-7d31-8c3e-0c7a5a4f1b2d",
  batch: "bat_use_0199c2a4-77aa-7d31-8c3e-0c7a5a4f1b2d",
  upload: "upl_use_0199c2a4-77aa-7d31-8c3e-0c7a5a4f1b2d",
  deletion: "del_0199c2a5-1c0e-7b52-9d10-5e2b7a90c3f4",
  endpoint: "whe_5f2b9c0d1e3a47689b0c77aa",
  delivery: "whd_use_9f86d081884c7d659a2feaa0c55ad015",
  sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
  created_at: "2026-01-05T09:30:00.000Z",
  finished_at: "2026-01-05T09:30:01.200Z",
} as const;

/** One call as the reference shows it, word for word, and as a test makes it. */
export interface ApiExample {
  operationId: string;
  method: "GET" | "POST" | "PATCH" | "DELETE";
  /** With query, as sent. */
  path: string;
  headers?: Record<string, string>;
  /** A JSON body. */
  json?: unknown;
  /** Fields of a multipart form; `@name` is a file. */
  form?: Record<string, string>;
  /** What comes back, or a line of JSON each; ids, times, addresses and secrets differ. Neither is there where it is audio. */
  answer: { status: number; body?: unknown; lines?: readonly unknown[] };
  /** What a client does with it, as a program for Node; a test runs it. */
  program?: { title: string; text: string };
}

/** An example as a line for a shell; `$URL` is the API, `$KEY` a key. */
export function toCurl({ method, path, headers = {}, json, form }: ApiExample): string {
  const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const sent = {
    ...headers,
    ...(json === undefined ? {} : { "content-type": "application/json" }),
  };
  const implied = json !== undefined || form !== undefined ? "POST" : "GET";
  return [
    `curl "$URL${path}"${method === implied ? "" : ` -X ${method}`} -H "authorization: Bearer $KEY"`,
    ...Object.entries(sent).map(([name, value]) => `-H ${quote(`${name}: ${value}`)}`),
    ...Object.entries(form ?? {}).map(([name, value]) => `-F ${quote(`${name}=${value}`)}`),
    ...(json === undefined ? [] : [`-d ${quote(JSON.stringify(json))}`]),
  ].join(" \\\n  ");
}
