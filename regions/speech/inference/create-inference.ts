import { createInferenceThread } from "./create-inference-thread.ts";
import type { Inference, InferenceThreadOptions } from "./create-inference-thread.ts";
import { InferenceError } from "./inference-error.ts";
import { planResidency } from "./plan-residency.ts";
import { keyOf } from "./runtime-model.ts";

export interface InferenceOptions extends InferenceThreadOptions {
  /** Memory that loaded models may take together, MB. */
  budgetMb?: number;
  /** Told of every model that is unloaded to make room for another. */
  onUnload?: ((name: string) => void) | undefined;
}

/** A model that takes room in the budget. */
export interface ModelRoom {
  /** Tells it from all others. */
  key: string;
  name: string;
  memoryMb: number;
}

/** The one budget of memory that all models of a process share. */
export interface ModelMemory {
  /**
   * Makes room for a model that runs somewhere else, and keeps it until it is let go. Afterwards the model may stay loaded
   * until another needs its room.
   *
   * @param unload gives the model's memory back; called when nobody holds it
   * @returns lets it go
   * @throws {InferenceError} `model_too_large`, `inference_closed`; the signal's reason
   */
  hold(room: ModelRoom, unload: () => Promise<void>, signal: AbortSignal): Promise<() => void>;
}

interface Resident {
  name: string;
  unload: () => Promise<void>;
  memoryMb: number;
  usedAt: number;
  running: number;
  /** Set when it has to go; resolves when it is idle and gone. */
  leaving: Promise<void> | undefined;
  onIdle: (() => void) | undefined;
}

/**
 * Models on threads, one each: a long run of one holds up no other, and a thread that dies takes no other model with it.
 * They are packed into a budget of memory. onnxruntime does not give memory back while its thread lives, so the model that
 * has to make room loses its thread; the next request loads it again.
 */
export function createInference(options: InferenceOptions = {}): Inference & ModelMemory {
  const { budgetMb = Infinity, onUnload, ...threadOptions } = options;
  const resident = new Map<string, Resident>();
  const threads = new Map<string, Inference>();
  /** Models are brought in one after the other: each has to see what the one before left. */
  let bringing: Promise<unknown> = Promise.resolve();
  let uses = 0;
  let closed = false;

  async function leave(key: string, model: Resident): Promise<void> {
    if (model.running > 0) {
      await new Promise<void>((resolve) => {
        model.onIdle = resolve;
      });
    }
    await model.unload();
    resident.delete(key);
    onUnload?.(model.name);
  }

  async function bring(room: ModelRoom, open: () => Resident["unload"]): Promise<Resident> {
    const { key, name, memoryMb } = room;
    const known = resident.get(key);
    if (known !== undefined && known.leaving === undefined) return known;
    const plan = planResidency(
      [...resident].map(([own, { memoryMb: taken, usedAt, running }]) => {
        return { key: own, memoryMb: taken, usedAt, busy: running > 0 };
      }),
      { key, memoryMb },
      budgetMb,
    );
    if (plan.type === "too_large") {
      throw new InferenceError(
        "model_too_large",
        `The model ${name} takes ${memoryMb} MB, more than the ${budgetMb} MB that models may take together.`,
      );
    }
    await Promise.all(
      plan.unload.map((own) => {
        const going = resident.get(own)!;
        going.leaving ??= leave(own, going);
        return going.leaving;
      }),
    );
    if (closed) throw closedError();
    const loaded: Resident = {
      name,
      unload: open(),
      memoryMb,
      usedAt: 0,
      running: 0,
      leaving: undefined,
      onIdle: undefined,
    };
    resident.set(key, loaded);
    return loaded;
  }

  /** Counts whoever comes in as running. */
  function enter(room: ModelRoom, open: () => Resident["unload"]): Resident | Promise<Resident> {
    uses += 1;
    const usedAt = uses;
    const come = (entered: Resident): Resident => {
      entered.running += 1;
      entered.usedAt = usedAt;
      return entered;
    };
    const known = resident.get(room.key);
    if (known !== undefined && known.leaving === undefined) return come(known);
    // Counted before anybody else can ask it to leave.
    const brought = bringing.then(async () => come(await bring(room, open)));
    bringing = brought.catch(() => {});
    return brought;
  }

  function letGo(own: Resident): void {
    own.running -= 1;
    if (own.running === 0) own.onIdle?.();
  }

  function openThread(key: string): Resident["unload"] {
    const thread = createInferenceThread(threadOptions);
    threads.set(key, thread);
    return async () => {
      threads.delete(key);
      await thread.close();
    };
  }

  return {
    async run(task, model, input, runOptions) {
      if (closed) throw closedError();
      runOptions?.signal?.throwIfAborted();
      const { name, memory_mb: memoryMb = 0 } = model;
      const key = keyOf(model);
      const entered = enter({ key, name, memoryMb }, () => openThread(key));
      const own = entered instanceof Promise ? await entered : entered;
      try {
        const thread = threads.get(key);
        if (thread === undefined) throw closedError();
        return await thread.run(task, model, input, runOptions);
      } finally {
        letGo(own);
      }
    },
    async hold(room, unload, signal) {
      if (closed) throw closedError();
      signal.throwIfAborted();
      const entering = Promise.resolve(enter(room, () => unload));
      const aborted = Promise.withResolvers<never>();
      const abort = () => aborted.reject(signal.reason);
      signal.addEventListener("abort", abort, { once: true });
      try {
        const own = await Promise.race([entering, aborted.promise]);
        return () => letGo(own);
      } catch (error) {
        // Room that comes too late is not kept.
        entering.then(letGo, () => undefined);
        throw error;
      } finally {
        signal.removeEventListener("abort", abort);
      }
    },
    async close() {
      closed = true;
      await Promise.all([...resident.values()].map(({ unload }) => unload()));
      await bringing;
    },
  };
}

function closedError(): InferenceError {
  return new InferenceError("inference_closed", "Inference was closed.");
}
