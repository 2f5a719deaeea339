import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { edgeInputs } from "../../scripts/deploy/edge-inputs.ts";
import { estimateCost } from "../../scripts/deploy/estimate-cost.ts";
import { makeSecrets } from "../../scripts/deploy/make-secrets.ts";
import { planStage } from "../../scripts/deploy/plan-stage.ts";
import { promotionSteps } from "../../scripts/deploy/promotion-steps.ts";
import { type Facts, readDeployment } from "../../scripts/deploy/settings.ts";
import { findMirror } from "../../scripts/terraform/find-mirror.ts";
import { readResults } from "../../scripts/terraform/read-results.ts";
import { readTests } from "../../scripts/terraform/read-tests.ts";

const examples = resolve(import.meta.dirname, "../../deploy/examples");
const stages = resolve(import.meta.dirname, "../../terraform/stages");
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "antiphon-deploy-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const facts = (region: string, primary: boolean): Facts => ({
  region,
  primary,
  vpc_id: `vpc-${region}`,
  cidr: region === "us-east" ? "10.10.0.0/16" : "10.20.0.0/16",
  peering_ids: {},
  database_arn: `arn:aws:rds:x:111122223333:db:antiphon-${region}`,
  database_host: `antiphon-${region}.example.com`,
  bucket: `antiphon-${region}-111122223333`,
  balancer_host: `${region}.elb.example.com`,
});

/** The deployment of two regions, in a folder of its own, with what is given of its secrets and facts. */
async function deployment(name: string, given: { secrets?: boolean; applied?: Facts[] } = {}) {
  const at = join(folder, name);
  await cp(join(examples, "ten-thousand"), at, { recursive: true });
  if (given.secrets !== false) {
    await writeFile(join(at, "secrets.json"), JSON.stringify(makeSecrets(["us-east", "eu-west"])));
  }
  await mkdir(join(at, "facts"));
  for (const fact of given.applied ?? []) {
    await writeFile(join(at, "facts", `${fact.region}.json`), JSON.stringify(fact));
  }
  return readDeployment(at);
}

test("a region is planned with all that its variables ask for, its state in its own bucket, and no secret in a file", async () => {
  const whole = await deployment("whole", { applied: [facts("us-east", true)] });
  expect(whole.missing).toEqual([]);
  const plan = planStage({ stage: "region", region: "eu-west" }, whole);
  if ("missing" in plan) throw new Error(plan.missing.join());
  expect(plan.backend).toMatchObject({
    bucket: "antiphon-state-eu-west-111122223333",
    region: "eu-west-1",
    use_lockfile: "true",
  });
  expect(plan.variables).toMatchObject({
    primary: false,
    peers: { "us-east": { primary: true, vpc_id: "vpc-us-east" } },
    costs: { instance_hour_usd: 0.526 },
  });
  const files = JSON.stringify(plan.variables);
  const { bootstrap_tenants, ...hidden } = plan.secrets;
  expect(bootstrap_tenants).toBe("[]");
  for (const secret of Object.values(hidden)) expect(files).not.toContain(secret);
  expect(plan.secrets["database_password"]).toMatch(/^[A-Za-z0-9]{40}$/);
});

test("every stage gets the variables that it declares: all that it has no value for, and none that it does not know", async () => {
  const applied = [facts("us-east", true), facts("eu-west", false)];
  const ready = await deployment("ready", { applied });
  const targets = [
    { stage: "state", region: "us-east" },
    { stage: "global" },
    { stage: "region", region: "eu-west" },
    { stage: "edge" },
  ] as const;
  for (const target of targets) {
    const plan = planStage(target, ready);
    if ("missing" in plan) throw new Error(plan.missing.join());
    const text = await readFile(join(stages, plan.stage, "variables.tf"), "utf8");
    const declared = text.split(/^(?=variable ")/m).map((block) => ({
      name: /^variable "([^"]+)"/.exec(block)?.[1],
      needed: !/^ {2}default\s*=/m.test(block),
    }));
    const given = [...Object.keys(plan.variables), ...Object.keys(plan.secrets)];
    const needed = declared.flatMap(({ name, needed: is }) => (is && name ? [name] : []));
    expect(needed.filter((name) => !given.includes(name))).toEqual([]);
    expect(given.filter((name) => !declared.some((one) => one.name === name))).toEqual([]);
  }
});

test("what is missing is named, all of it, before anything begins", async () => {
  const target = { stage: "region", region: "eu-west" } as const;
  const bare = planStage(target, await readDeployment(join(folder, "nowhere")));
  expect(bare).toEqual({
    missing: [expect.stringContaining("deployment.json"), expect.stringContaining("secrets.json")],
  });

  const early = planStage(target, await deployment("early"));
  expect(early).toEqual({ missing: [expect.stringContaining("apply its region first")] });

  const unknown = planStage({ stage: "region", region: "ap-south" }, await deployment("unknown"));
  expect(unknown).toEqual({
    missing: expect.arrayContaining([expect.stringContaining("regions.ap-south is not there")]),
  });

  const edge = planStage({ stage: "edge" }, await deployment("edgeless", { secrets: false }));
  expect(edge).toEqual({ missing: [expect.stringContaining("no region was applied")] });
});

test("a region that calls itself primary while another is one is not begun", async () => {
  const two = await deployment("two", { applied: [facts("eu-west", true)] });
  expect(planStage({ stage: "region", region: "us-east" }, two)).toEqual({
    missing: [expect.stringContaining("eu-west is the primary by its facts")],
  });
});

test("adding a region makes secrets for it, and leaves the others as they are", () => {
  const known = makeSecrets(["us-east"]);
  const more = makeSecrets(["us-east", "eu-west"], known);
  expect(more.link_secrets["us-east"]).toEqual(known.link_secrets["us-east"]);
  expect(more.webhook_keys).toEqual(known.webhook_keys);
  expect(more.link_secrets["eu-west"]?.[0]).not.toBe(known.link_secrets["us-east"]?.[0]);
  expect(more.link_secrets["eu-west"]?.[0]?.length).toBeGreaterThanOrEqual(32);
});

test("the edge is told of a region only when its access key is there", () => {
  const secrets = makeSecrets(["us-east", "eu-west"]);
  const endpoints = { "us-east": { api: "https://a" }, "eu-west": { api: "https://b" } };
  const users = { "us-east": "antiphon-edge-us-east", "eu-west": "antiphon-edge-eu-west" };
  const keys = { "us-east": { access_key_id: "A", secret_access_key: "S" } };
  const inputs = edgeInputs({ endpoints, users }, secrets, keys);
  expect(JSON.parse(inputs.secrets["REGION_ENDPOINTS"]!)).toEqual({
    "us-east": { api: "https://a", access_key_id: "A", secret_access_key: "S" },
  });
  expect(Object.keys(JSON.parse(inputs.secrets["LINK_SECRETS"]!) as object)).toEqual(["us-east"]);
  expect(inputs.missing).toEqual([
    "eu-west: aws iam create-access-key --user-name antiphon-edge-eu-west",
  ]);
});

test("a promotion stops the old primary first, and rebuilds every other server after", async () => {
  const both = await deployment("both", {
    applied: [facts("us-east", true), facts("eu-west", false)],
  });
  const steps = promotionSteps("eu-west", both).filter((line) => !line.startsWith("#"));
  const at = (what: RegExp) => steps.findIndex((line) => what.test(line));
  expect(at(/stop-db-instance .*antiphon-us-east/)).toBeLessThan(
    at(/promote-read-replica .*antiphon-eu-west/),
  );
  expect(at(/promote-read-replica/)).toBeLessThan(at(/region us-east --apply --rebuild-database/));
  expect(steps.some((line) => /eu-west --apply --rebuild/.test(line))).toBe(false);
  expect(() => promotionSteps("us-east", both)).toThrow("primary already");
});

test("a month costs more with more requests, and each example has a price for all it names", async () => {
  const load = { requestsPerDay: 100, secondsEach: 6, megabytesEach: 2 };
  for (const name of ["smallest", "ten-thousand"]) {
    const { settings } = await readDeployment(join(examples, name));
    const usd = (requestsPerDay: number) =>
      estimateCost(settings!, { ...load, requestsPerDay }).reduce((sum, item) => sum + item.usd, 0);
    expect(usd(100)).toBeGreaterThan(100);
    expect(usd(1_000_000)).toBeGreaterThan(usd(100) * 2);
  }
});

test("a mirror is the one that is named, else one of the usual folders, else what a shallow search finds", async () => {
  const root = join(folder, "disk");
  const provider = "registry.terraform.io/hashicorp/aws";
  await mkdir(join(root, "a/b/mirror", provider), { recursive: true });
  await mkdir(join(root, "a/b/c/too-deep", provider), { recursive: true });
  const home = join(folder, "home");
  expect(await findMirror({ named: undefined, home, root })).toBe(join(root, "a/b/mirror"));
  await mkdir(join(home, ".terraform.d/plugins", provider), { recursive: true });
  expect(await findMirror({ named: undefined, home, root })).toBe(
    join(home, ".terraform.d/plugins"),
  );
  const named = join(root, "a/b/c/too-deep");
  expect(await findMirror({ named, home, root })).toBe(named);
  await expect(findMirror({ named: root, home, root })).rejects.toThrow("TF_MIRROR");
  expect(
    await findMirror({ named: undefined, home: undefined, root: join(folder, "home2") }),
  ).toBeUndefined();
});

test("runs, assertions and refusals of a test file are counted, and a run that did not pass is never taken for one that did", () => {
  const { head, runs } = readTests(`mock_provider "aws" {}

run "good" {
  assert {
    condition     = true
    error_message = "it holds"
  }
}

run "refuses_bad" {
  expect_failures = [var.x]
}
`);
  expect(head).toContain("mock_provider");
  expect(runs.map(({ name, assertions, refuses }) => ({ name, assertions, refuses }))).toEqual([
    { name: "good", assertions: ["it holds"], refuses: false },
    { name: "refuses_bad", assertions: [], refuses: true },
  ]);
  const line = (value: object) => JSON.stringify(value);
  const results = readResults(
    [
      line({ type: "test_run", test_run: { run: "good", progress: "running" } }),
      line({ type: "test_run", test_run: { run: "good", progress: "complete", status: "fail" } }),
      line({
        type: "diagnostic",
        "@testrun": "good",
        diagnostic: { severity: "error", summary: "Test assertion failed", detail: "it holds" },
      }),
      line({
        type: "diagnostic",
        "@testrun": "refuses_bad",
        diagnostic: { severity: "error", summary: "Missing expected failure", detail: "x" },
      }),
      line({
        type: "diagnostic",
        "@testrun": "good",
        diagnostic: { severity: "error", summary: "Unsupported argument", detail: "y" },
      }),
    ].join("\n"),
  );
  expect(Object.fromEntries(results.runs)).toEqual({ good: "fail" });
  expect([...results.failed]).toEqual(["it holds"]);
  expect([...results.unrefused]).toEqual(["refuses_bad"]);
  expect(results.errors).toEqual(["good: Unsupported argument: y"]);
});
