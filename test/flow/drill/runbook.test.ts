import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Fault, faults, type FaultName } from "../../../scripts/drill/faults.ts";
import { assertGiven, createOperator, generalCommand } from "../../../scripts/drill/operator.ts";

const ROOT = join(import.meta.dirname, "../../..");

interface Row {
  happened: string;
  commands: string[];
  drills: string[];
}

/** The runbook's table as ARCHITECTURE.md has it. */
async function readRunbook(): Promise<Row[]> {
  const text = await readFile(join(ROOT, "ARCHITECTURE.md"), "utf8");
  const section = text.split("\n## ").find((each) => each.startsWith("Runbook\n"))!;
  const rows = section.split("\n").filter((line) => line.startsWith("| "));
  return rows.slice(1).map((line): Row => {
    const cells = line.split(" | ");
    const quoted = (cell: string) => Array.from(cell.matchAll(/`([^`]+)`/g), ([, what]) => what!);
    return {
      happened: cells[0]!.slice(2),
      commands: cells
        .slice(1, -1)
        .flatMap(quoted)
        .filter((what) => what.startsWith("npm run ")),
      drills: quoted(cells.at(-1)!),
    };
  });
}

test("each command of the runbook is given by a drill of its row, and each drill stands in a row", async () => {
  const rows = await readRunbook();
  expect(rows.flatMap(({ commands }) => commands).length).toBeGreaterThan(10);
  const untried = rows.flatMap(({ happened, commands, drills }) => {
    const given = drills.flatMap(
      (name): readonly string[] => (faults[name as FaultName] as Fault).runbook,
    );
    return commands
      .filter((command) => !given.includes(command))
      .map((command) => `${happened}: ${command}`);
  });
  expect(untried).toEqual([]);
  expect(new Set(rows.flatMap(({ drills }) => drills))).toEqual(new Set(Object.keys(faults)));
});

test("a drill's command is the runbook's, whatever region or letter it is about", () => {
  const to = (command: string) => generalCommand(`npm run ${command}`);
  expect(to("failover -- promote eu-west")).toBe("npm run failover -- promote REGION");
  expect(to("failover -- status --json")).toBe("npm run failover -- status");
  assertGiven(["npm run planet -- up REGION"], ["npm run planet -- up ap-south"]);
  expect(() => assertGiven(["npm run planet -- up REGION"], ["npm run planet -- status"])).toThrow(
    "did not give: npm run planet -- up REGION",
  );
  expect(to("antiphon -- dead-letters replay us-east.1700000000000-0")).toBe(
    "npm run antiphon -- dead-letters replay ID",
  );
});

test("the person on duty runs what package.json names, sees how it ended, and is held to the drill's planet", async () => {
  const given: string[] = [];
  const operate = createOperator(join(ROOT, "test/fixtures/no-planet"), {
    signal: AbortSignal.timeout(60_000),
    onCommand: (command) => void given.push(command),
  });
  expect(await operate("npm run failover -- --help")).toContain("promote");
  await expect(operate("npm run planet -- up us-east")).rejects.toThrow("test/fixtures/no-planet");
  await expect(operate("npm run nothing -- at all")).rejects.toThrow("no such command");
  await expect(operate("rm -- everything")).rejects.toThrow("not a command of this project");
  expect(given).toHaveLength(4);
});
