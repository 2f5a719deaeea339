import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { planet } from "./planet-under-test.ts";

test("at the first start of all nobody asked for tables that were not there yet", async () => {
  const folder = join(planet.stateDir, "logs");
  const names = await readdir(folder);
  const logs = await Promise.all(names.map((name) => readFile(join(folder, name), "utf8")));
  expect(logs.join("")).toContain("brought the schema up to date");
  const asked = logs.flatMap((log) =>
    log.split("\n").filter((line) => /42P01|relation "\w+" does not exist/.test(line)),
  );
  expect(asked).toEqual([]);
});
