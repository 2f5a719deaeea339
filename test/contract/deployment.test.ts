import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { ApiConfig, KeeperConfig, readConfig, WorkerConfig } from "../../regions/config.ts";
import { workerEnvironment } from "../../regions/worker-environment.ts";
import { batchPool, jobPool } from "../../shared/policies/scale.ts";
import { KubernetesObject } from "../support/kubernetes-objects.ts";

const root = resolve(import.meta.dirname, "../..");
const read = (path: string) => readFile(join(root, path), "utf8");

/** What secrets hold in production, by the name of their variable. */
const secrets: Record<string, string> = {
  REDIS_URL: "rediss://antiphon:password@queue.example.com:6379",
  DATABASE_URL:
    "postgres://antiphon:password@a.example.com:5432,b.example.com:5432/antiphon?sslmode=verify-full",
  DATABASE_REPLICA_URL:
    "postgres://antiphon:password@a.example.com:5432/antiphon?sslmode=verify-full",
  LINK_SECRETS: "0123456789abcdef0123456789abcdef",
  WEBHOOK_KEYS: Buffer.alloc(32).toString("base64"),
  BOOTSTRAP_TENANTS: "[]",
};
const processes = { api: ApiConfig, keeper: KeeperConfig, worker: WorkerConfig };

/** Variables that are Node's, glibc's or the SDK's, not ours. */
const foreign = new Set(["NODE_EXTRA_CA_CERTS", ...Object.keys(workerEnvironment)]);
const known = (process: keyof typeof processes) => Object.keys(processes[process].shape);

async function manifests(): Promise<KubernetesObject[]> {
  const documents = parseAllDocuments(await read("deploy/kubernetes/region.yaml"));
  return documents.map((document) => {
    if ("errors" in document) expect(document.errors).toEqual([]);
    return KubernetesObject.parse((document as { toJS(): unknown }).toJS());
  });
}

const ofKind = <K extends KubernetesObject["kind"]>(objects: KubernetesObject[], kind: K) =>
  objects.filter(
    (object): object is Extract<KubernetesObject, { kind: K }> => object.kind === kind,
  );

test("every process on Kubernetes starts with what its manifest gives it, and gets no variable that nobody reads", async () => {
  const objects = await manifests();
  const [shared] = ofKind(objects, "ConfigMap");
  const deployments = ofKind(objects, "Deployment");
  expect(deployments.map(({ metadata }) => metadata.name).sort()).toEqual([
    "api",
    "keeper",
    "worker",
  ]);
  for (const { metadata, spec } of deployments) {
    const name = metadata.name as keyof typeof processes;
    const [container] = spec.template.spec.containers;
    const own = Object.fromEntries(
      container.env.map((entry) => {
        if ("value" in entry) return [entry.name, entry.value];
        const from = entry.valueFrom;
        return [entry.name, "secretKeyRef" in from ? secrets[from.secretKeyRef.key] : "worker-1"];
      }),
    );
    expect(() => readConfig(processes[name], { ...shared!.data, ...own })).not.toThrow();
    expect(
      Object.keys(own).filter((key) => !foreign.has(key) && !known(name).includes(key)),
    ).toEqual([]);
  }
});

test("on Kubernetes, what refers to another object finds it", async () => {
  const objects = await manifests();
  const deployments = ofKind(objects, "Deployment");
  const accounts = ofKind(objects, "ServiceAccount").map(({ metadata }) => metadata.name);
  const claims = ofKind(objects, "PersistentVolumeClaim").map(({ metadata }) => metadata.name);
  for (const { spec } of deployments) {
    const pod = spec.template;
    expect(pod.metadata.labels).toMatchObject(spec.selector.matchLabels);
    expect(accounts).toContain(pod.spec.serviceAccountName);
    const volumes = pod.spec.volumes.map(({ name }) => name);
    expect(pod.spec.containers[0].volumeMounts.map(({ name }) => name).sort()).toEqual(
      volumes.sort(),
    );
    for (const volume of pod.spec.volumes) {
      if ("persistentVolumeClaim" in volume)
        expect(claims).toContain(volume.persistentVolumeClaim.claimName);
    }
  }
  const scaled = [
    ...ofKind(objects, "ScaledObject"),
    ...ofKind(objects, "HorizontalPodAutoscaler"),
  ];
  for (const { spec } of scaled) {
    expect(deployments.map(({ metadata }) => metadata.name)).toContain(spec.scaleTargetRef.name);
  }
  for (const { spec } of ofKind(objects, "Service")) {
    const of = deployments.find(
      (deployment) => deployment.spec.template.metadata.labels["app"] === spec.selector["app"],
    );
    expect(of?.spec.template.spec.containers[0].ports.map(({ name }) => name)).toContain(
      spec.ports[0]?.targetPort,
    );
  }
});

test("on Kubernetes, workers are as many as the scaling policy asks for, within its bounds", async () => {
  const [scaled] = ofKind(await manifests(), "ScaledObject");
  const { minReplicaCount, maxReplicaCount, triggers, advanced } = scaled!.spec;
  expect([minReplicaCount, maxReplicaCount]).toEqual([jobPool.min, jobPool.max]);
  const { valueLocation, url } = triggers[0].metadata;
  expect(await read("regions/queue/watch-load.ts")).toContain(`"${valueLocation}"`);
  expect(new URL(url).host).toBe("keeper.antiphon.svc.cluster.local:8080");
  const { scaleDown } = advanced.horizontalPodAutoscalerConfig.behavior;
  expect(scaleDown.stabilizationWindowSeconds * 1000).toBe(jobPool.scaleInCooldownMs);
});

/** The names on the left of `=` in the map that begins after `opening`. */
function namesIn(text: string, opening: string): string[] {
  const from = text.indexOf(opening);
  expect(from, opening).toBeGreaterThan(-1);
  const end = text.indexOf("}", from + opening.length);
  const block = text.slice(from + opening.length, end).replaceAll(/"[^"]*"/g, '""');
  return Array.from(block.matchAll(/(?:^|[\n,{])\s*([A-Z][A-Z0-9_]+)\s*=/g), (match) => match[1]!);
}

test("every task on ECS gets the variables that its process needs, and no other", async () => {
  const api = await read("terraform/modules/region-api/main.tf");
  const pool = await read("terraform/modules/gpu-pool/main.tf");
  const stage = await read("terraform/stages/2-region/main.tf");
  const workerSecrets = /secret_arns\s*= \{ for name in \[([^\]]*)\]/
    .exec(stage)![1]!
    .match(/[A-Z_]+/g)!;
  const common = namesIn(api, "common = {");
  const listed = (after: string) => {
    const line = api
      .slice(api.indexOf(after))
      .match(/secrets\s*= \[(?:for name in \[)?([^\]]*)\]/)![1]!;
    return line.match(/[A-Z_]+/g)!;
  };
  const given = {
    api: [
      ...common,
      ...namesIn(api, "api = {\n      environment = merge(local.common, {"),
      ...listed("api = {\n      environment"),
    ],
    keeper: [
      ...common,
      ...namesIn(api, "keeper = {\n      environment = merge(local.common, {"),
      ...listed("keeper = {\n      environment"),
    ],
    worker: [
      ...namesIn(pool, "environment = merge(\n    {"),
      ...namesIn(pool, "which tells why.\n    {"),
      ...workerSecrets,
      "WORKER_ID",
    ],
  };
  const values: Record<string, string> = {
    ...secrets,
    ANTIPHON_REGION: "eu-west",
    ANTIPHON_ENV: "production",
    EDGE_URL: "https://voice.example.com",
    PUBLIC_URL: "https://voice.example.com",
    WORKER_ID: "ip-10-0-0-1",
    S3_BUCKET: "antiphon-eu-west",
    SCRATCH_DIR: "/scratch",
    ANTIPHON_MODELS_DIR: "/models",
  };
  for (const name of ["api", "keeper", "worker"] as const) {
    const environment = Object.fromEntries(given[name].map((key) => [key, values[key] ?? "4"]));
    expect(() => readConfig(processes[name], environment)).not.toThrow();
    const all = new Set([...known("api"), ...known("keeper"), ...known("worker")]);
    expect(given[name].filter((key) => !foreign.has(key) && !all.has(key))).toEqual([]);
  }
  for (const [key, value] of Object.entries(workerEnvironment)) {
    expect(pool).toMatch(new RegExp(`${key}\\s*= "${value}"`));
  }
});

test("AWS scales by the figures of the scaling policy", async () => {
  const text = await read("terraform/modules/autoscaling/variables.tf");
  const standard = (name: string) =>
    new RegExp(`variable "${name}" \\{[^]*?default\\s*= ([^]*?)\\n(?:\\n|\\})`).exec(text)![1]!;
  expect(Number(standard("min"))).toBe(jobPool.min);
  expect(Number(standard("max"))).toBe(jobPool.max);
  expect(Number(standard("target_percent")) / 100).toBe(jobPool.target);
  expect(Number(standard("scale_out_cooldown_s")) * 1000).toBe(jobPool.scaleOutCooldownMs);
  expect(Number(standard("scale_in_cooldown_s")) * 1000).toBe(jobPool.scaleInCooldownMs);
  const steps = Array.from(
    standard("steps").matchAll(/from_waiting = (\d+), add = (\d+)/g),
    (match) => ({
      fromWaiting: Number(match[1]),
      add: Number(match[2]),
    }),
  );
  expect(steps).toEqual(jobPool.steps);
  const pool = await read("terraform/modules/gpu-pool/variables.tf");
  expect(pool).toMatch(
    new RegExp(`"on_demand_base" \\{[^}]*default\\s*= ${jobPool.onDemandBase}\\n`),
  );
  const batch = await read("terraform/modules/gpu-pool/tests/gpu-pool.tftest.hcl");
  expect(batch).toMatch(
    new RegExp(
      `min\\s*= ${batchPool.min}\\n\\s*warm\\s*= ${batchPool.warm}\\n\\s*on_demand_base = ${batchPool.onDemandBase}`,
    ),
  );
});

test.each(["api", "worker"])(
  "the image of the %s is built from what is there, and runs as nobody special",
  async (name) => {
    const lines = (await read(`deploy/docker/${name}.Dockerfile`))
      .replaceAll("\\\n", " ")
      .split("\n");
    const ignored = await read(".dockerignore");
    const stages = lines
      .join("\n")
      .split(/^(?=FROM )/m)
      .slice(1);
    const names = stages.map((stage) => / AS (\S+)/.exec(stage)?.[1]);
    for (const stage of stages) {
      const base = /^FROM (\S+)/.exec(stage)![1]!;
      if (!names.includes(base)) expect(base).toMatch(/:[\w.-]*\d/);
      for (const [, arguments_] of stage.matchAll(/^COPY (.+)$/gm)) {
        const parts = arguments_!.split(" ");
        const from = parts.find((part) => part.startsWith("--from="))?.slice("--from=".length);
        if (from !== undefined) {
          expect(names).toContain(from);
          continue;
        }
        for (const source of parts.slice(0, -1)) {
          expect(existsSync(join(root, source)), source).toBe(true);
          expect(ignored.split("\n")).toContain(`!${source}`);
        }
      }
      const command = /^CMD (\[.*\])$/m.exec(stage)?.[1];
      if (command === undefined) continue;
      expect(/^USER (.*)$/m.exec(stage)?.[1]).toBe("1000:1000");
      const entry = /regions\/[\w-]+\.ts/.exec(command)![0];
      expect(existsSync(join(root, entry)), entry).toBe(true);
    }
    expect(stages.filter((stage) => /^CMD /m.test(stage)).length).toBe(name === "worker" ? 2 : 1);
  },
);
