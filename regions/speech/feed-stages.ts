import type { AudioBlock } from "./decode/decoder.ts";

/** Blocks that a stage may be behind the decoder, where it is not told otherwise. */
export const LOOK_AHEAD = 4;

/** A step of an analysis that reads the decoded audio block by block. */
export interface Stage {
  push(block: AudioBlock): Promise<void>;
}

/**
 * Hands every block to every stage, each at its own pace but none more than `lookAhead` blocks behind the decoder,
 * which waits for the slowest. The first error of a stage or of the source ends it all.
 */
export async function feedStages(
  blocks: AsyncIterable<AudioBlock>,
  stages: readonly Stage[],
  {
    lookAhead = LOOK_AHEAD,
    onBlock,
  }: { lookAhead?: number; onBlock?: (block: AudioBlock) => void } = {},
): Promise<void> {
  const lanes = stages.map((stage) => ({ stage, queue: [] as Promise<void>[] }));
  try {
    for await (const block of blocks) {
      for (const { stage, queue } of lanes) {
        if (queue.length >= lookAhead) await queue.shift();
        const pushed = (queue.at(-1) ?? Promise.resolve()).then(() => stage.push(block));
        // It is awaited later, in its turn; until then its failure is not an unhandled one.
        pushed.catch(() => {});
        queue.push(pushed);
      }
      onBlock?.(block);
    }
    for (const { queue } of lanes) await Promise.all(queue);
  } finally {
    await Promise.allSettled(lanes.flatMap(({ queue }) => queue));
  }
}
