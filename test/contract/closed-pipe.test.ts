import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";

const main = fileURLToPath(new URL("../../scripts/cli/main.ts", import.meta.url));

test("whoever reads no further than the first lines sees no fault of the command line", async () => {
  const server = createServer((_, response) => {
    // Nobody reads from here on; only then is there something to say.
    child.stdout.destroy();
    child.stdout.once("close", () => response.end(JSON.stringify({ data: [], next_cursor: null })));
    response.setHeader("content-type", "application/json");
  });
  server.listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const args = [main, "webhooks", "list", "--url", url, "--key", "ak_test_x"];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  const [errors, [code]] = await Promise.all([text(child.stderr), once(child, "exit")]);
  expect(errors).toBe("");
  expect(code).toBe(0);
});
