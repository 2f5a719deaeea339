/**
 * The walls of ARCHITECTURE.md: who may import whom. Paths are relative to the folder that is cruised, so the same rules
 * judge the planted violations in test/fixtures/planted.
 */

/** Folder of regions/ → what it may import from its own side; shared is open to all, and a folder to itself. */
const regionFolders = {
  api: ["queue", "store", "results", "ops"],
  workers: ["queue", "speech", "results", "store", "ops"],
  streams: ["queue", "speech", "results", "ops"],
  speech: [],
  deletions: ["queue", "results", "store", "ops"],
  queue: ["ops"],
  results: ["ops"],
  store: ["ops"],
  webhooks: ["results", "ops"],
  primary: ["ops"],
  ops: [],
};

/** Packages small enough to run anywhere: all that edge and shared may import. */
const anywhere = ["hono", "zod", "zod-openapi", "aws4fetch", "jose"];

/** Driver → the only places that may import it. */
const drivers = [
  {
    name: "onnxruntime",
    packages: ["onnxruntime-node", "onnxruntime-common"],
    at: ["^regions/speech/"],
  },
  {
    name: "node-av",
    packages: ["node-av"],
    at: ["^regions/speech/", "^scripts/fixtures/", "^test/"],
  },
  {
    name: "postgres",
    packages: ["postgres", "drizzle-orm", "pg"],
    at: ["^regions/store/", "^scripts/planet/", "^scripts/drill/", "^test/"],
  },
  {
    name: "redis",
    packages: ["ioredis"],
    at: ["^regions/queue/", "^regions/results/", "^scripts/", "^test/"],
  },
  {
    name: "aws",
    packages: ["@aws-sdk"],
    at: [
      "^regions/store/object-store[^/]*\\.ts$",
      "^regions/queue/sqs-",
      "^scripts/(planet|drill/aws)/",
      "^test/",
    ],
  },
];

const inPackages = (names) => `(^|/)node_modules/(${names.join("|")})/`;
const ENTRIES = "^(edge/worker|regions/(serve-api|run-worker|run-keeper|config))\\.ts$";
const JUDGES = "^(scripts|test)/";

const folderWalls = Object.entries(regionFolders).map(([folder, may]) => ({
  name: `wall-regions-${folder}`,
  comment: `regions/${folder} may import ${[...may, "shared"].join(", ")} and itself.`,
  severity: "error",
  from: { path: `^regions/${folder}/` },
  to: {
    path: "^(edge|regions|scripts|test)/",
    pathNot: `^regions/(${[folder, ...may].join("|")})/`,
  },
}));

const driverWalls = drivers.map(({ name, packages, at }) => ({
  name: `driver-${name}`,
  comment: `${packages.join(", ")}: only in ${at.join(", ")}.`,
  severity: "error",
  from: { path: "^(edge|regions|shared|scripts|test)/", pathNot: at },
  to: { path: inPackages(packages) },
}));

export default {
  forbidden: [
    ...folderWalls,
    ...driverWalls,
    {
      name: "wall-regions-unknown-folder",
      comment: "A new folder of regions/ needs its row in the table of walls.",
      severity: "error",
      from: {
        path: "^regions/[^/]+/",
        pathNot: `^regions/(${Object.keys(regionFolders).join("|")})/`,
      },
      to: {},
    },
    {
      name: "wall-shared",
      comment: "shared imports itself and small libraries that run anywhere.",
      severity: "error",
      from: { path: "^shared/" },
      to: { path: "^(edge|regions|scripts|test)/" },
    },
    {
      name: "wall-edge",
      comment: "edge speaks HTTP to the regions; it never imports them.",
      severity: "error",
      from: { path: "^edge/" },
      to: { path: "^(regions|scripts|test)/" },
    },
    {
      name: "wall-regions-entry",
      comment: "Entry files import anything on their side, and nothing of the edge.",
      severity: "error",
      from: { path: "^regions/[^/]+$" },
      to: { path: "^(edge|scripts|test)/" },
    },
    {
      name: "entries-are-not-imported",
      comment:
        "Only scripts and tests may reach an entry file; an entry may read its side's config.ts.",
      severity: "error",
      from: { path: "^(edge|regions|shared)/", pathNot: ENTRIES },
      to: { path: ENTRIES },
    },
    {
      name: "no-node-built-ins",
      comment: "edge and shared run where there is no Node.",
      severity: "error",
      from: { path: "^(edge|shared)/" },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "small-libraries-only",
      comment: `edge and shared may import ${anywhere.join(", ")}.`,
      severity: "error",
      from: { path: "^(edge|shared)/" },
      to: { path: "(^|/)node_modules/", pathNot: inPackages(anywhere) },
    },
    {
      name: "speech-is-offline",
      comment: "Audio in, numbers out: no network in regions/speech.",
      severity: "error",
      from: { path: "^regions/speech/" },
      to: {
        path: `^(node:)?(http|https|http2|net|tls|dgram|dns)$|${inPackages(["hono", "@hono", "undici"])}`,
      },
    },
    {
      name: "no-cycles",
      comment: "No circular imports, of types either: the shared part belongs in a third file.",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "no-unresolved",
      comment: "An import that resolves to nothing.",
      severity: "error",
      from: {},
      to: { couldNotResolve: true, pathNot: "^(cloudflare|node):" },
    },
    {
      name: "shipped-packages-are-dependencies",
      comment: "What ships imports only packages from `dependencies`.",
      severity: "error",
      from: { path: "^(edge|regions|shared)/" },
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"] },
    },
    {
      name: "judges-stay-apart",
      comment: "Nothing imports scripts or test but they themselves.",
      severity: "error",
      from: { pathNot: JUDGES },
      to: { path: JUDGES },
    },
  ],
  options: {
    // TypeScript 7 has no parser that dependency-cruiser can use: without swc it reads nothing and is content.
    parser: "swc",
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^test/fixtures/planted/" },
    enhancedResolveOptions: {
      extensions: [".ts", ".js", ".mjs", ".cjs", ".json"],
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"],
      mainFields: ["module", "main", "types"],
    },
  },
};
