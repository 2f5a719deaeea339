import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { createClient } from "../../shared/client/client.ts";
import { AntiphonError } from "../../shared/client/errors.ts";
import { mintJobId } from "../../shared/contracts/ids.ts";
import { findRegion } from "../../shared/contracts/regions.ts";
import { ApiError, toProblem } from "../../shared/errors/problem.ts";

const id = mintJobId(findRegion("us-east")!);
const state = { id, status: "running", region: "us-east", dispatch: 1, attempt: 1 };
const job = {
  ...state,
  kind: "synthesis",
  priority: "standard",
  status: "succeeded",
  created_at: "2026-11-21T10:00:00.000Z",
};

/** Answers each call for events by the next of these. */
async function serve(...answers: ((response: ServerResponse) => void)[]) {
  const seen: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    const answer = answers[seen.length]!;
    seen.push(request.headers["last-event-id"]?.toString());
    answer(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { client: createClient({ baseUrl: `http://127.0.0.1:${port}`, apiKey: "k" }), seen };
}

const event = (eventId: string, name: string, data: object) =>
  `id: ${eventId}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`;

test("a job is followed to its end over streams that break off, each taken up after the last event", async () => {
  const { client, seen } = await serve(
    (response) => {
      response.write("retry: 2000\n\n: still here\n\n");
      const text = event("1.1", "status", { ...state, status: "queued" });
      // In the middle of a line, and then of an event.
      response.write(text.slice(0, 20));
      setTimeout(() => response.write(text.slice(20), () => response.destroy()), 20);
    },
    (response) => {
      response.write(
        event("1.2", "progress", { ...state, progress: 0.5 }).replaceAll("\n", "\r\n"),
      );
      response.end("id: 1.3\nevent: progress\ndata: {");
    },
    (response) => response.end(event("1.final", "result", job)),
  );
  const states: unknown[] = [];
  const final = await client.followJob(id, {
    onState: ({ status, progress }) => states.push([status, progress]),
  });
  expect(final).toMatchObject({ id, status: "succeeded" });
  expect(states).toEqual([
    ["queued", undefined],
    ["running", 0.5],
  ]);
  expect(seen).toEqual([undefined, "1.1", "1.2"]);
});

test("a job that is not there is told as it is", async () => {
  const { client } = await serve((response) => {
    response.writeHead(404, { "content-type": "application/problem+json" });
    response.end(JSON.stringify(toProblem(new ApiError("job_not_found"), "req_1")));
  });
  await expect(client.followJob(id)).rejects.toBeInstanceOf(AntiphonError);
});
