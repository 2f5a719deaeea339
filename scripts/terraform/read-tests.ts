/** One `run` of a test file: its name, its text, and what its assertions say when they fail. */
export interface TestRun {
  name: string;
  text: string;
  assertions: string[];
  /** It expects Terraform to refuse what it is given. */
  refuses: boolean;
}

export interface TestFile {
  /** All that is before the first run: the mocked provider and the variables. */
  head: string;
  runs: TestRun[];
}

/** Reads a `.tftest.hcl` as `terraform fmt` writes it: blocks begin and end in the first column. */
export function readTests(text: string): TestFile {
  const first = text.search(/^run "/m);
  if (first < 0) return { head: text, runs: [] };
  const runs = text
    .slice(first)
    .split(/^(?=run ")/m)
    .map((part): TestRun => {
      const name = /^run "([^"]+)"/.exec(part)?.[1];
      if (name === undefined) throw new Error(`a run without a name: ${part.slice(0, 80)}`);
      const assertions = Array.from(
        part.matchAll(/^\s+error_message\s*=\s*"(.*)"$/gm),
        (m) => m[1]!,
      );
      const asserts = part.match(/^\s+assert \{/gm)?.length ?? 0;
      if (asserts !== assertions.length) {
        throw new Error(`${name} has ${asserts} assertions and ${assertions.length} messages`);
      }
      return { name, text: part, assertions, refuses: /^\s+expect_failures\s*=/m.test(part) };
    });
  return { head: text.slice(0, first), runs };
}
