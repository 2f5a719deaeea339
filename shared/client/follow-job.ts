import { Job } from "../contracts/api.ts";
import { JobEventState } from "../contracts/job-events.ts";
import { ConnectionError } from "./errors.ts";
import type { createHttp } from "./http.ts";
import { sleep } from "./sleep.ts";

export interface FollowJob {
  signal?: AbortSignal | undefined;
  /** Called for every state that is told; the last one comes as the result. */
  onState?: (state: JobEventState) => void;
}

const RETRY_MS = 1_000;
/** Streams without a single event, one after the other, after which it is given up. */
const MOST_FRUITLESS = 10;

/**
 * Follows a job by its events until it is final. A stream that ends or breaks off before is taken up again after the last event.
 * @throws AntiphonError, ConnectionError
 */
export async function followJob(
  http: Pick<ReturnType<typeof createHttp>, "open">,
  id: string,
  { signal, onState }: FollowJob = {},
): Promise<Job> {
  const path = `/v1/jobs/${encodeURIComponent(id)}/events`;
  let last: string | undefined;
  for (let fruitless = 0; fruitless < MOST_FRUITLESS; fruitless++) {
    const headers: Record<string, string> = last === undefined ? {} : { "last-event-id": last };
    const response = await http.open(path, { headers, signal });
    try {
      for await (const event of readEvents(response)) {
        fruitless = 0;
        last = event.id ?? last;
        if (event.name === "result") return Job.parse(JSON.parse(event.data));
        onState?.(JobEventState.parse(JSON.parse(event.data)));
      }
    } catch (error) {
      if (signal?.aborted || !(error instanceof ConnectionError)) throw error;
    }
    await sleep(RETRY_MS, signal);
  }
  throw new ConnectionError("the job's events keep breaking off");
}

interface ServerEvent {
  id: string | undefined;
  name: string;
  data: string;
}

/** Server-sent events of a response, as the WHATWG's standard has them, but for lines that end in a lone carriage return. */
async function* readEvents(response: Response): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder();
  let rest = "";
  let fields = new Map<string, string>();
  for await (const chunk of chunksOf(response)) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split(/\r?\n/);
    rest = lines.pop()!;
    for (const line of lines) {
      if (line !== "") {
        const [, name = "", value = ""] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
        const before = name === "data" ? fields.get(name) : undefined;
        fields.set(name, before === undefined ? value : `${before}\n${value}`);
        continue;
      }
      const data = fields.get("data");
      if (data !== undefined) {
        yield { id: fields.get("id"), name: fields.get("event") ?? "message", data };
      }
      fields = new Map();
    }
  }
}

async function* chunksOf({ body }: Response): AsyncGenerator<Uint8Array> {
  if (!body) return;
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((cause: unknown) => {
        throw new ConnectionError("the events broke off", { cause });
      });
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
