import { createInferenceThread } from "./create-inference-thread.ts";
import type { Inference, InferenceThreadOptions } from "./create-inference-thread.ts";
import { InferenceError } from "./inference-error.ts";
import { planResidency } from "./plan-residency.ts";
import { keyOf } from "./runtime-model.ts";
import type { RuntimeModel } from "./runtime-model.ts";

export interface InferenceOptions extends InferenceThreadOptions {
  /** Memory that loaded models may take together, MB. */
  budgetMb?: number;
  /** Told of every model that is unloaded to make room for another. */
  onUnload?: ((name: string) => void) | undefined;
}

interface Resident {
  name: string;
  thread: Inference;
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
export function createInference(options: InferenceOptions = {}): Inference {
  const { budgetMb = Infinity, onUnload, ...threadOptions } = options;
  const resident = new Map<string, Resident>();
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
    await model.thread.close();
    resident.delete(key);
    onUnload?.(model.name);
  }

  async function bring(model: RuntimeModel): Promise<Resident> {
    const known = resident.get(keyOf(model));
    if (known !== undefined && known.leaving === undefined) return known;
    const memoryMb = model.memory_mb ?? 0;
    const plan = planResidency(
      [...resident].map(([key, { memoryMb: taken, usedAt, running }]) => {
        return { key, memoryMb: taken, usedAt, busy: running > 0 };
      }),
      { key: keyOf(model), memoryMb },
      budgetMb,
    );
    if (plan.type === "too_large") {
      throw new InferenceError(
        "model_too_large",
        `The model ${model.name} takes ${memoryMb} MB, more than the ${budgetMb} MB that models may take together.`,
      );
    }
    await Promise.all(
      plan.unload.map((key) => {
        const going = resident.get(key)!;
        going.leaving ??= leave(key, going);
        return going.leaving;
      }),
    );
    if (closed) throw closedError();
    const thread = createInferenceThread(threadOptions);
    const { name } = model;
    const loaded: Resident = {
      name,
      thread,
      memoryMb,
      usedAt: 0,
      running: 0,
      leaving: undefined,
      onIdle: undefined,
    };
    resident.set(keyOf(model), loaded);
    return loaded;
  }

  function enter(model: RuntimeModel): Resident | Promise<Resident> {
    const known = resident.get(keyOf(model));
    if (known !== undefined && known.leaving === undefined) return known;
    const brought = bringing.then(async () => {
      const entered = await bring(model);
      // Counted before anybody else can ask it to leave.
      entered.running += 1;
      return entered;
    });
    bringing = brought.catch(() => {});
    return brought;
  }

  return {
    async run(task, model, input, runOptions) {
      if (closed) throw closedError();
      runOptions?.signal?.throwIfAborted();
      const entered = enter(model);
      let own: Resident;
      if (entered instanceof Promise) {
        own = await entered;
      } else {
        own = entered;
        own.running += 1;
      }
      uses += 1;
      own.usedAt = uses;
      try {
        return await own.thread.run(task, model, input, runOptions);
      } finally {
        own.running -= 1;
        if (own.running === 0) own.onIdle?.();
      }
    },
    async close() {
      closed = true;
      await Promise.all([...resident.values()].map(({ thread }) => thread.close()));
      await bringing;
    },
  };
}

function closedError(): InferenceError {
  return new InferenceError("inference_closed", "Inference was closed.");
}
