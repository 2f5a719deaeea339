import { sleep } from "../../shared/client/sleep.ts";
import { MAX_SINGLE_PUT_BYTES } from "../../shared/contracts/api.ts";
import { readId } from "../../shared/contracts/ids.ts";
import { uploadKey, type Owner } from "../../shared/contracts/object-keys.ts";
import {
  isPermitted,
  roundTripMs,
  type Region,
  type Residency,
} from "../../shared/contracts/regions.ts";
import { ApiError } from "../../shared/errors/problem.ts";
import type { EdgeConfig } from "../env.ts";
import { describeError, log } from "../ops/log.ts";
import type { ObjectStore } from "./object-store.ts";

export interface SecondCopyTimes {
  /** What a client waits for its 202, at most. */
  patienceMs?: number;
  /** Buckets replicate by themselves; after this the edge copies what has not come yet. */
  copyAfterMs?: number;
  /** Between two looks at first, and at most. */
  firstPauseMs?: number;
  maxPauseMs?: number;
  /** A bucket that has not answered within this is away, and is left alone for a while. */
  lookMs?: number;
  leaveAloneMs?: number;
  /** Where only a region that is away can have it, this is given up, so that the client can send it elsewhere. */
  goneAfterMs?: number;
}

/** `durability: "multi_region"`: an upload lies in two regions' buckets before a job of it is accepted. */
export interface SecondCopy {
  /** @throws ApiError invalid_request where residency leaves one region alone */
  assertPossible(residency: Residency): void;
  /**
   * Resolves once two permitted buckets have the upload. One whose own region does not answer counts as having it: a copy elsewhere
   * can only come from there.
   * @throws ApiError upload_not_found | invalid_request | dependency_unavailable (not in time; the same request may be repeated)
   */
  wait(owner: Owner, uploadId: string, signal: AbortSignal): Promise<void>;
}

/** What a bucket says of an object; `missing`, or `away` when it does not answer. */
type Seen =
  | { bytes: number; etag: string | null; type: string; replicated: boolean }
  | "missing"
  | "away";

/**
 * The copies of uploads in other regions' buckets: looked for, and made by the edge itself where replication is slow. Larger ones than a
 * single PUT are left to replication; the client's next try finds them.
 */
export function createSecondCopy(
  config: Pick<EdgeConfig, "regions">,
  objects: Pick<ObjectStore, "get" | "put">,
  times: SecondCopyTimes = {},
): SecondCopy {
  const { patienceMs = 12_000, copyAfterMs = 1_500 } = times;
  const { firstPauseMs = 100, maxPauseMs = 1_000 } = times;
  const { lookMs = 1_500, leaveAloneMs = 2_000, goneAfterMs = 2_500 } = times;

  const permitted = (residency: Residency) =>
    config.regions.filter((region) => isPermitted(residency, region));

  function assertPossible(residency: Residency): void {
    const [only, second] = permitted(residency);
    if (second) return;
    throw new ApiError(
      "invalid_request",
      `What is bound to ${residency} may lie in ${only?.id ?? "no region"} alone, so there can be no copy in a second region.`,
      { errors: [{ path: "durability", message: "needs two regions that residency permits" }] },
    );
  }

  async function look(region: Region, key: string): Promise<Seen> {
    const over = new AbortController();
    const late = sleep(lookMs, over.signal).then(
      (): Seen => "away",
      (): Seen => "away",
    );
    // The others must not wait for one that hangs.
    return Promise.race([ask(region, key), late]).finally(() => over.abort());
  }

  async function ask(region: Region, key: string): Promise<Seen> {
    try {
      const answer = await objects.get(region, key, "HEAD");
      // S3 tells those who may not list a bucket 403 of what is not there.
      if (answer.status === 404 || answer.status === 403) return "missing";
      if (!answer.ok) return "away";
      return {
        bytes: Number(answer.headers.get("content-length")),
        etag: answer.headers.get("etag"),
        type: answer.headers.get("content-type") ?? "application/octet-stream",
        replicated: answer.headers.get("x-amz-replication-status") === "COMPLETED",
      };
    } catch {
      return "away";
    }
  }

  /** Streams the object from one bucket to another. */
  async function copy(from: Region, to: Region, key: string, patience: number): Promise<void> {
    const source = await objects.get(from, key, "GET");
    const bytes = Number(source.headers.get("content-length"));
    if (!source.ok || !source.body) throw new Error(`${from.id} answered ${source.status}`);
    const sized = new FixedLengthStream(bytes);
    const stop = new AbortController();
    const piped = source.body.pipeTo(sized.writable, { signal: stop.signal });
    const type = source.headers.get("content-type") ?? "application/octet-stream";
    try {
      await Promise.all([objects.put(to, key, sized.readable, type, patience), piped]);
    } finally {
      stop.abort();
    }
  }

  return {
    assertPossible,
    async wait(owner, uploadId, signal) {
      assertPossible(owner.residency);
      const home = readId(uploadId)?.region;
      if (!home || !isPermitted(owner.residency, home)) throw new ApiError("upload_not_found");
      const key = uploadKey(owner, uploadId);
      const peers = permitted(owner.residency)
        .filter(({ id }) => id !== home.id)
        .toSorted((a, b) => roundTripMs(home, a) - roundTripMs(home, b));
      const began = Date.now();
      const left = () => patienceMs - (Date.now() - began);
      const tried = new Set<Region>();
      const awayUntil = new Map<Region, number>();
      async function lookOnce(region: Region): Promise<Seen> {
        if (Date.now() < (awayUntil.get(region) ?? 0)) return "away";
        const seen = await look(region, key);
        if (seen === "away") awayUntil.set(region, Date.now() + leaveAloneMs);
        return seen;
      }

      for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, maxPauseMs)) {
        const [original, ...copies] = await Promise.all(
          [home, ...peers].map((region) => lookOnce(region)),
        );
        const isWhole = (seen: Seen) => {
          if (typeof seen === "string") return false;
          if (typeof original !== "object") return true;
          // What the client has sent twice may be an older one there.
          const isSame = seen.etag === original.etag || original.replicated;
          return seen.bytes === original.bytes && isSame;
        };
        const whole = copies.filter(isWhole).length;
        // Where a region has lost its disks, its peers' copies are what there is.
        if (whole >= (original === "missing" ? 2 : 1)) return;
        if (original === "missing" && whole === 0) throw new ApiError("upload_not_found");

        const source = typeof original === "object" ? home : peers[copies.findIndex(isWhole)];
        const target = [home, ...peers].find(
          (region, i) =>
            region !== source && !tried.has(region) && [original, ...copies][i] !== "away",
        );
        const bytes = typeof original === "object" ? original.bytes : 0;
        const isDue = left() <= patienceMs - copyAfterMs && bytes <= MAX_SINGLE_PUT_BYTES;
        if (source && target && isDue && left() > 0) {
          tried.add(target);
          try {
            await copy(source, target, key, left());
            continue;
          } catch (error) {
            log("warn", "an upload could not be copied to a second region", {
              from: source.id,
              to: target.id,
              error: describeError(error),
            });
          }
        }
        const isGone = original === "away" && whole === 0 && Date.now() - began >= goneAfterMs;
        if (isGone || left() <= pauseMs) {
          throw new ApiError(
            "dependency_unavailable",
            "The recording is in no second region yet. Nothing was accepted; repeat the request.",
            { headers: { "retry-after": "5" } },
          );
        }
        await sleep(pauseMs, signal);
      }
    },
  };
}
