/** Entry of a flite thread: a run blocks its thread until it is done. */
import { parentPort, workerData } from "node:worker_threads";
import type { FliteReply, FliteRequest, FliteThreadData } from "./protocol.ts";
import { printPhones, runFlite } from "./run-flite.ts";

if (parentPort === null) throw new Error("The flite thread was started as something else.");
const port = parentPort;
const { module } = workerData as FliteThreadData;

port.on("message", (request: FliteRequest) => {
  try {
    if (request.type === "phones") {
      port.postMessage({ result: printPhones(module, request.text) } satisfies FliteReply);
      return;
    }
    const samples = runFlite(module, request);
    port.postMessage({ result: samples } satisfies FliteReply, [samples.buffer]);
  } catch (error) {
    const failed = error instanceof Error ? error.message : String(error);
    port.postMessage({ failed } satisfies FliteReply);
  }
});
