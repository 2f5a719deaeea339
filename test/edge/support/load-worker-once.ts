/*
 * At every call of a Durable Object the pool asks the process that runs the tests for the Worker's module, two dozen times for one
 * request. While that process is held up, on a busy machine, objects would be late, and time-outs of the edge end what is well. So
 * the module is kept once it is there.
 */
const WORKER = "/edge/worker.ts";

interface ModuleRunner {
  import(url: string): Promise<unknown>;
}
const { __vitest_mocker__: mocker } = globalThis as {
  __vitest_mocker__?: { moduleRunner?: ModuleRunner };
};
const runner = mocker?.moduleRunner;
if (!runner) throw new Error("the pool loads the Worker's module in another way than it did");

const load = runner.import.bind(runner);
// The module, not the promise of it: that belongs to the request which asked first.
let worker: unknown;
runner.import = async (url) => {
  if (!url.endsWith(WORKER)) return load(url);
  worker ??= await load(url);
  return worker;
};
