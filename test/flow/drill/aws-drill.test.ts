import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createAwsCalls } from "../../../scripts/drill/aws/aws-calls.ts";
import { planAwsSteps } from "../../../scripts/drill/aws/plan-steps.ts";
import { runAwsDrill } from "../../../scripts/drill/aws/run-aws-drill.ts";

/** A stand-in that answers as ECS and RDS do, and notes what it is told to change. */
async function standIn() {
  const counts = new Map([
    ["antiphon-eu-west-api", 3],
    ["antiphon-eu-west-keeper", 2],
    ["antiphon-eu-west-gpu", 7],
  ]);
  const changes: string[] = [];
  const server = createServer((request, response) => void reply(request, response));
  async function reply(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const chunk of request) text += String(chunk);
    const target = String(request.headers["x-amz-target"] ?? "");
    const region = /\/(\w+-\w+-\d)\//.exec(String(request.headers.authorization))?.[1];
    if (target === "") {
      const form = new URLSearchParams(text);
      const action = form.get("Action");
      changes.push(`${region} ${action} ${form.get("DBInstanceIdentifier")}`);
      response.setHeader("content-type", "text/xml");
      response.end(`<${action}Response><${action}Result/></${action}Response>`);
      return;
    }
    const body = JSON.parse(text) as Record<string, unknown>;
    response.setHeader("content-type", "application/x-amz-json-1.1");
    const answer = (value: object) => response.end(JSON.stringify(value));
    const arn = (name: string) => `arn:aws:ecs:x:1:service/${name}`;
    if (target.endsWith(".ListServices")) {
      // Two pages, as a large cluster has.
      const names = [...counts.keys()];
      const first = body["nextToken"] === undefined;
      const part = first ? names.slice(0, 2) : names.slice(2);
      answer({ serviceArns: part.map(arn), ...(first ? { nextToken: "more" } : {}) });
    } else if (target.endsWith(".DescribeServices")) {
      const services = [...counts].map(([serviceName, desiredCount]) => {
        return { serviceName, desiredCount };
      });
      answer({ services });
    } else {
      changes.push(`${region} ${String(body["service"])} ${String(body["desiredCount"])}`);
      answer({ service: {} });
    }
  }
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    changes,
    endpoint: `http://127.0.0.1:${port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

let aws: Awaited<ReturnType<typeof standIn>>;
beforeEach(async () => {
  vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIATEST");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "secret");
  aws = await standIn();
});
afterEach(() => {
  aws.close();
  vi.unstubAllEnvs();
});

const drill = (more: object, signal = new AbortController().signal) => {
  const said: string[] = [];
  const done = runAwsDrill({
    fault: "kill",
    region: "eu-west",
    holdMs: 1,
    yes: true,
    calls: createAwsCalls({ signal, endpoint: aws.endpoint }),
    signal,
    say: (line) => void said.push(line),
    ...more,
  });
  return { said, done };
};

test("a region's services go to no tasks, and back to as many as there were", async () => {
  await drill({}).done;
  expect(aws.changes).toEqual([
    "eu-west-1 antiphon-eu-west-api 0",
    "eu-west-1 antiphon-eu-west-keeper 0",
    "eu-west-1 antiphon-eu-west-gpu 0",
    "eu-west-1 antiphon-eu-west-api 3",
    "eu-west-1 antiphon-eu-west-keeper 2",
    "eu-west-1 antiphon-eu-west-gpu 7",
  ]);
});

test("without --yes every step is said and nothing is changed", async () => {
  const { said, done } = drill({ yes: false });
  await done;
  expect(aws.changes).toEqual([]);
  expect(said.join("\n")).toContain("--service antiphon-eu-west-gpu --desired-count 0");
  expect(said.join("\n")).toContain("--service antiphon-eu-west-gpu --desired-count 7");
});

test("a drill that is broken off is mended", async () => {
  const stop = new AbortController();
  const calls = createAwsCalls({ signal: new AbortController().signal, endpoint: aws.endpoint });
  const { done } = drill({ holdMs: 60_000, calls, signal: stop.signal });
  await expect.poll(() => aws.changes).toHaveLength(3);
  stop.abort();
  await done;
  expect(aws.changes).toHaveLength(6);
});

test("losing the primary promotes the region that is named, in its own AWS region, and says what is left to do", async () => {
  const plan = await drill({ fault: "kill-primary", region: "us-east", to: "eu-west" }).done;
  expect(aws.changes).toEqual([
    "us-east-1 RebootDBInstance antiphon-us-east",
    "eu-west-1 PromoteReadReplica antiphon-eu-west",
  ]);
  expect(plan.by_hand.join()).toContain("cannot be undone");
});

test("what cannot be done on AWS is refused", () => {
  const services = [{ name: "antiphon-eu-west-api", count: 1 }];
  expect(() => planAwsSteps("slow", "eu-west", { services })).toThrow("cannot inflict");
  expect(() => planAwsSteps("kill-primary", "us-east", { services })).toThrow("--to");
  expect(() => planAwsSteps("kill-primary", "us-east", { services, to: "us-east" })).toThrow(
    "another region",
  );
  expect(() => planAwsSteps("kill", "mars", { services })).toThrow("no region");
});
