import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { type Check } from "./check.ts";
import { projectFiles } from "./project-files.ts";

/** Larger files are recordings or generated data. */
const LARGEST = 2 * 1024 * 1024;

/** A place in a file that names something outside the project. */
export interface Mention {
  path: string;
  line: number;
  what: string;
  text: string;
}

const OUTSIDE = [
  {
    what: "a path of one machine",
    pattern: /(?<![\w.:/}~-])\/(?:work|root|home\/\w+|Users\/\w+)\//,
  },
  {
    what: "a package registry",
    pattern: /\bregistry\.(?:npmjs|yarnpkg)\.\w+|\bnpm\.pkg\.github\.com/,
  },
  {
    what: "a package registry",
    pattern: /https?:\/\/[^\s"'/]*(?:artifactory|verdaccio|nexus)[^\s"'/]*\//,
  },
];

/** Mentions in one file's text; the lock file must not say where its packages came from either. */
export function mentions(path: string, text: string): Mention[] {
  const patterns = path.endsWith("package-lock.json")
    ? [...OUTSIDE, { what: "where a package came from", pattern: /"resolved": "(?:https?|file):/ }]
    : OUTSIDE;
  return text
    .split("\n")
    .flatMap((content, index) =>
      patterns
        .filter(({ pattern }) => pattern.test(content))
        .map(({ what }) => ({ path, line: index + 1, what, text: content.trim().slice(0, 120) })),
    );
}

/** The project names no machine that it was written on, and no registry that it was installed from. */
export const speaksOfItself: Check = {
  name: "self",
  title: "speaks of itself alone",
  async run({ root }) {
    const files = await projectFiles(root);
    const found: Mention[] = [];
    for (const path of files) {
      const content = await readFile(join(root, path));
      if (content.length > LARGEST || content.subarray(0, 8000).includes(0)) continue;
      found.push(...mentions(path, content.toString("utf8")));
    }
    return found.length === 0
      ? { ok: true, summary: `${files.length} files` }
      : {
          ok: false,
          summary: `${found.length} mentions of something outside`,
          details: found
            .slice(0, 100)
            .map(({ path, line, what, text }) => `${path}:${line}: ${what}: ${text}`)
            .join("\n"),
        };
  },
};
