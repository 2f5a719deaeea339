import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const logger = fileURLToPath(new URL("../../regions/ops/logger.ts", import.meta.url));

test("a region's line has its level as a word, its time as one reads it, and no secret", async () => {
  const program = `
    const { createLogger } = await import(${JSON.stringify(logger)});
    const request = createLogger("api", "us-east", "info").child({ request_id: "req_1" });
    request.warn({ status: 503, headers: { authorization: "Bearer k" } }, "answered");
    request.debug("left out");`;
  const { stdout } = await promisify(execFile)(process.execPath, [
    "--input-type=module",
    "--eval",
    program,
  ]);
  expect(JSON.parse(stdout)).toEqual({
    level: "warn",
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string,
    service: "api",
    region: "us-east",
    pid: expect.any(Number) as number,
    request_id: "req_1",
    status: 503,
    headers: { authorization: "[redacted]" },
    msg: "answered",
  });
});
