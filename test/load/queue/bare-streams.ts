import { Redis } from "ioredis";
import { IN_FLIGHT, type Contender } from "./contender.ts";

const STREAM = "jobs";
const GROUP = "workers";

/**
 * What Redis Streams can do at best without batches: one XADD a job, XREADGROUP of 50, one XACK a job. No priority, fairness,
 * lease, retry or state; a job's end leaves nothing but its acknowledgement.
 */
export const bareStreams: Contender = {
  name: "bare Redis Streams",
  async open(redisUrl) {
    const redis = new Redis(redisUrl);
    await redis.xgroup("CREATE", STREAM, GROUP, "0", "MKSTREAM");
    return {
      async enqueue(spec) {
        await redis.xadd(STREAM, "*", "spec", JSON.stringify(spec));
      },
      async drain(count) {
        const ended = new Set<string>();
        while (ended.size < count) {
          const reply = (await redis.xreadgroup(
            "GROUP",
            GROUP,
            "bench",
            "COUNT",
            IN_FLIGHT,
            "STREAMS",
            STREAM,
            ">",
          )) as [string, [string, string[]][]][] | null;
          if (reply === null) throw new Error("the stream ran dry");
          await Promise.all(
            reply[0]![1].map(async ([entry, fields]) => {
              const { id } = JSON.parse(fields[1]!) as { id: string };
              await redis.xack(STREAM, GROUP, entry);
              ended.add(id);
            }),
          );
        }
        return ended;
      },
      async close() {
        redis.disconnect();
      },
    };
  },
};
