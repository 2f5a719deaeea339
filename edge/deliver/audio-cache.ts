import { audioKey } from "../../shared/contracts/object-keys.ts";
import type { AudioAddress } from "../../shared/signing/audio-url.ts";
import { describeError, log } from "../ops/log.ts";

/** Read once for client and cache together; what is larger is fetched for the cache by itself, so that no slow client holds it in memory. */
const MAX_SHARED_BYTES = 8 * 1024 * 1024;
const MAX_CACHED_BYTES = 100 * 1024 * 1024;
const MAX_FILLING = 20;

type Later = (work: Promise<unknown>) => void;

export interface AudioCache {
  /** The audio, or the range of it (206, or 416), if it is here. */
  match(address: AudioAddress, range?: string): Promise<Response | undefined>;
  /**
   * Keeps what a bucket answered, and gives back what the client is to get. A part is no whole: the whole is then asked for with
   * `fetchWhole`, while the client already has its part.
   */
  keep(
    address: AudioAddress,
    answer: Response,
    fetchWhole: () => Promise<Response>,
    later: Later,
  ): Response;
}

/**
 * Audio in the cache of the Cloudflare location that serves it, under its content's name and its owner's: signatures come and go,
 * and one tenant's deletion is not another's. Only of tenants that are bound to no place: nobody says where a cache lies. Who may
 * have it is checked before it is asked for, each time.
 */
export function createAudioCache(days: number): AudioCache {
  /** Wholes that this isolate is fetching now. */
  const filling = new Set<string>();
  const isShared = ({ residency }: AudioAddress) => residency === "global";
  const open = () => caches.open("audio");
  const nameOf = (address: AudioAddress) =>
    `https://audio-cache.invalid/${audioKey(address, address.sha256, address.extension)}`;

  async function put(
    name: string,
    { sha256 }: AudioAddress,
    whole: Response,
    body: ReadableStream,
  ) {
    const headers = new Headers({
      "cache-control": `public, max-age=${days * 86_400}`,
      etag: `"${sha256}"`,
    });
    for (const each of ["content-type", "content-length", "last-modified"]) {
      const value = whole.headers.get(each);
      if (value !== null) headers.set(each, value);
    }
    await (await open()).put(name, new Response(body, { headers }));
  }

  async function fill(
    name: string,
    address: AudioAddress,
    fetchWhole: () => Promise<Response>,
  ): Promise<void> {
    const whole = await fetchWhole();
    if (whole.status === 200 && whole.body && lengthOf(whole) <= MAX_CACHED_BYTES) {
      await put(name, address, whole, whole.body);
    } else {
      await whole.body?.cancel();
    }
  }

  return {
    async match(address, range) {
      if (!isShared(address)) return undefined;
      try {
        const headers = range === undefined ? {} : { range };
        return await (await open()).match(new Request(nameOf(address), { headers }));
      } catch (error) {
        log("warn", "the audio cache could not be read", { error: describeError(error) });
        return undefined;
      }
    },

    keep(address, answer, fetchWhole, later) {
      const name = nameOf(address);
      if (!isShared(address) || !answer.body || ![200, 206].includes(answer.status)) return answer;
      if (filling.has(name) || filling.size >= MAX_FILLING) return answer;
      if (wholeLengthOf(answer) > MAX_CACHED_BYTES) return answer;
      filling.add(name);
      let client = answer;
      let work: Promise<void>;
      if (answer.status === 200 && lengthOf(answer) <= MAX_SHARED_BYTES) {
        const [mine, theirs] = answer.body.tee();
        client = new Response(theirs, answer);
        work = put(name, address, answer, mine);
      } else {
        work = fill(name, address, fetchWhole);
      }
      later(
        work
          .catch((error: unknown) =>
            log("warn", "audio could not be cached", { error: describeError(error) }),
          )
          .finally(() => filling.delete(name)),
      );
      return client;
    },
  };
}

/** Infinite where it is not told. */
function lengthOf({ headers }: Response): number {
  return Number(headers.get("content-length") ?? Number.POSITIVE_INFINITY);
}

function wholeLengthOf(answer: Response): number {
  if (answer.status === 200) return lengthOf(answer);
  const total = /\/(\d+)$/.exec(answer.headers.get("content-range") ?? "")?.[1];
  return Number(total ?? Number.POSITIVE_INFINITY);
}
