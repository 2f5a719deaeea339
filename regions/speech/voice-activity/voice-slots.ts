import { CONTEXT, RECURRENT, WINDOW } from "./voice-activity-state.ts";

/*
 * The memory that a stream of voice activity shares with the inference thread, in floats from the start of its slot:
 *
 *   0               the stream's state, one of two: recurrent state, then the samples before the next window
 *   STATE           the other one: a run reads one and writes the other, so that a thread that dies in between spoils nothing
 *   PROBABILITIES   what the model heard in each of the windows
 *   WINDOWS         up to `ROOM` windows
 */

/** Most windows of one stream in one run (half a second). */
export const ROOM = 16;
export const STATE = RECURRENT + CONTEXT;
export const PROBABILITIES = 2 * STATE;
export const WINDOWS = PROBABILITIES + ROOM;
/** Floats in one slot. */
export const SLOT = WINDOWS + ROOM * WINDOW;

/** Numbers that name one item of a batch: index of its memory, slot in it, windows, which state is the last. */
export const ITEM = 4;

const SLOTS_PER_PAGE = 64;

/** A place in shared memory: its page and its slot there. */
export interface VoiceSlot {
  page: SharedArrayBuffer;
  floats: Float32Array<SharedArrayBuffer>;
  slot: number;
  /** Where it starts in `floats`. */
  at: number;
}

/** Gives out slots; memory grows by pages, of which the system gives only what is written to. */
export function createVoiceSlots() {
  const free: VoiceSlot[] = [];

  function grow(): void {
    const page = new SharedArrayBuffer(SLOTS_PER_PAGE * SLOT * 4);
    const floats = new Float32Array(page);
    for (let slot = SLOTS_PER_PAGE - 1; slot >= 0; slot -= 1) {
      free.push({ page, floats, slot, at: slot * SLOT });
    }
  }

  return {
    /** A slot whose first state is the one before the first sample. */
    take(): VoiceSlot {
      if (free.length === 0) grow();
      const slot = free.pop()!;
      slot.floats.fill(0, slot.at, slot.at + PROBABILITIES);
      return slot;
    },
    /** Only when no run can still write to it. */
    giveBack(slot: VoiceSlot): void {
      free.push(slot);
    },
  };
}
