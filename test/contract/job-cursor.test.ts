import { expect, test } from "vitest";
import { createJobCursor } from "../../regions/store/job-cursor.ts";
import { createEdgeJobCursor } from "../../shared/signing/job-cursor.ts";
import { mintJobId, readId } from "../../shared/contracts/ids.ts";
import { regions } from "../../shared/contracts/regions.ts";

const list = { tenantId: "ten_a", userId: undefined };
const position = { ...list, createdAtMs: 1_790_000_000_000, jobId: mintJobId(regions[0]!) };

test("a cursor of one region goes on in another, when the first is away", () => {
  const cursor = createJobCursor().write(position);
  expect(createJobCursor().read(cursor, list)).toEqual(position);
});

test("the edge and a region read each other's", async () => {
  for (const userId of [undefined, "u-1"]) {
    const place = { createdAtMs: readId(position.jobId)!.createdAtMs, id: position.jobId };
    const edge = createEdgeJobCursor({ tenantId: list.tenantId, userId });
    const own = { ...list, userId, createdAtMs: place.createdAtMs, jobId: place.id };
    expect(createJobCursor().read(await edge.write(place), { ...list, userId })).toEqual(own);
    expect(await edge.read(createJobCursor().write(own))).toEqual(place);
  }
});

test("a cursor that was damaged, or is of another list, is refused", () => {
  const cursors = createJobCursor();
  const cursor = cursors.write(position);
  const swapped = cursor.replace(/^./, (first) => (first === "A" ? "B" : "A"));
  for (const wrong of [swapped, cursor.slice(0, -1), `${cursor}A`, "", ".", "a.b"]) {
    expect(() => cursors.read(wrong, list)).toThrow("not one of this list");
  }
  for (const other of [
    { ...list, tenantId: "ten_b" },
    { ...list, userId: "u" },
  ]) {
    expect(() => cursors.read(cursor, other)).toThrow("not one of this list");
  }
});

test("a cursor with a right tag over nonsense is refused as any other", () => {
  const cursors = createJobCursor();
  for (const nonsense of [
    { ...position, createdAtMs: Number.MAX_SAFE_INTEGER },
    { ...position, jobId: "job_x" },
  ]) {
    expect(() => cursors.read(cursors.write(nonsense), list)).toThrow("not one of this list");
  }
});
