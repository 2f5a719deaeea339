import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import { freePort } from "../../scripts/planet/ports.ts";
import { apiExamples } from "../../shared/contracts/api-examples.ts";
import { DeletionFacts } from "../../shared/contracts/deletions.ts";
import { makeReceiptKey, publicKeys, signReceipt } from "../../shared/signing/receipt.ts";
import { mintWebhookSecret, webhookHeaders } from "../../shared/signing/standard-webhook.ts";

/** Runs the program that the reference shows beside a call, as it stands there. */
function runProgram(operationId: string, environment: Record<string, string>) {
  const { program } = apiExamples.find((each) => each.operationId === operationId)!;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program!.text], {
    env: { PATH: process.env["PATH"], ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill());
  return child;
}

test("the server of the reference takes a webhook that we sign, by either of two secrets, and no other", async () => {
  const [secret, before] = [mintWebhookSecret(), mintWebhookSecret()];
  const port = await freePort();
  const child = runProgram("createWebhookEndpoint", {
    WEBHOOK_SECRET: before,
    PORT: String(port),
  });
  const body = JSON.stringify({ type: "job.succeeded", data: { job_id: "job_1" } });
  const now = Math.floor(Date.now() / 1000);
  const send = async (sent: string, timestampS = now) => {
    const headers = await webhookHeaders([secret, before], { id: "msg_1", timestampS, body });
    const answer = await fetch(`http://127.0.0.1:${port}`, { method: "POST", headers, body: sent });
    return answer.status;
  };
  const printed = once(child.stdout, "data") as Promise<[Buffer]>;
  await expect.poll(() => send(body).catch(() => "not up")).toBe(204);
  expect(String((await printed)[0])).toBe("job.succeeded job_1\n");
  expect(await send(body.replace("job_1", "job_2"))).toBe(400);
  expect(await send(body, now - 3_600)).toBe(400);
});

test("the program of the reference verifies a receipt, and believes none that was changed", async () => {
  const key = await makeReceiptKey("r1");
  const { jws: _, ...facts } = apiExamples.find((each) => each.operationId === "getDeletion")!
    .answer.body as { jws: string };
  const receipt = await signReceipt(key, DeletionFacts.parse(facts));
  const [head, , signature] = receipt.jws.split(".");
  const forged = Buffer.from(JSON.stringify({ ...facts, tenant_id: "ten_other" }));
  const answers: Record<string, unknown> = {
    "/.well-known/jwks.json": publicKeys([key]),
    "/v1/deletions/del_1": receipt,
    "/v1/deletions/del_2": {
      ...receipt,
      jws: `${head}.${forged.toString("base64url")}.${signature}`,
    },
  };
  const server = createServer((request, response) => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(answers[request.url!]));
  }).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const run = async (id: string) => {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const child = runProgram("getDeletion", { URL: url, KEY: "k", DELETION: id });
    const [said, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
    return [code, said];
  };
  const done = receipt.regions.map(({ region, done_at }) => `${region}: ${done_at}`).join(", ");
  expect(await run("del_1")).toEqual([0, `completed ${done}\n`]);
  expect(await run("del_2")).toEqual([1, ""]);
});
