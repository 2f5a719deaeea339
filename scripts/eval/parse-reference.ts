export interface ReferenceRow {
  clip: string;
  values: Map<string, number>;
}

/**
 * Reads reference figures: a header line with `clip` and the features' names, then a line for each clip, separated by
 * semicolons.
 * @throws {Error} the text is something else
 */
export function parseReference(text: string): ReferenceRow[] {
  const [header, ...lines] = text.split(/\r?\n/).filter((line) => line !== "");
  const names = header?.split(";") ?? [];
  const clipColumn = names.indexOf("clip");
  if (clipColumn < 0) throw new Error("The reference figures have no column `clip`.");
  return lines.map((line) => {
    const cells = line.split(";");
    const clip = cells[clipColumn];
    // The name becomes part of a path.
    if (clip === undefined || !/^[\w.-]+$/.test(clip)) {
      throw new Error(`The reference figures have no clip in: ${line.slice(0, 80)}`);
    }
    return { clip, values: new Map(names.map((name, i) => [name, Number(cells[i])])) };
  });
}
