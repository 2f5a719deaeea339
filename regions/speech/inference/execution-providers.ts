import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { listSupportedBackends } from "onnxruntime-node";

/** Where models run, in the order of preference. */
export type ExecutionProvider = "cuda" | "cpu";

/**
 * CUDA where this build of onnxruntime can use it and its libraries are installed beside it (they are not part of the
 * package: its install script fetches them when asked to), else the CPU. To ask for what is not there would fail and write to stderr.
 */
export function findExecutionProviders(): ExecutionProvider[] {
  const isListed = listSupportedBackends().some(({ name }) => name === "cuda");
  return isListed && existsSync(join(nativeFolder(), "libonnxruntime_providers_cuda.so"))
    ? ["cuda", "cpu"]
    : ["cpu"];
}

function nativeFolder(): string {
  const main = createRequire(import.meta.url).resolve("onnxruntime-node");
  return join(dirname(main), "..", "bin", "napi-v6", process.platform, process.arch);
}
