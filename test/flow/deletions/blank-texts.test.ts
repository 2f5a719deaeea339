import { afterAll, beforeAll, expect, test } from "vitest";
import { createBlankTexts } from "../../../regions/deletions/blank-texts.ts";
import { createObjectStore } from "../../../regions/store/object-store.ts";
import type { ObjectStore } from "../../../regions/store/object-store-port.ts";
import { BUCKET, CREDENTIALS, startStore, type RunningStore } from "../object-store/start-store.ts";

const { signal } = new AbortController();
const contentType = "text/plain; charset=utf-8";

let running: RunningStore;
let objects: ObjectStore;

beforeAll(async () => {
  running = await startStore();
  const { endpoint } = running;
  objects = createObjectStore({ region: "us-east", bucket: BUCKET, endpoint, ...CREDENTIALS });
});
afterAll(async () => {
  objects?.close();
  await running?.remove();
});

/** An object of texts of ten bytes each. */
async function putTexts(key: string, count: number) {
  const texts = Array.from({ length: count }, (_, n) => `text ${n}`.padEnd(10, "."));
  await objects.put(key, texts.join(""), { contentType });
  return texts.map((_, n) => ({ offset: 10 * n, bytes: 10 }));
}

test("of two items that are deleted at once neither's text comes back", async () => {
  const [first, second] = await putTexts("two", 3);
  // The second one's whole work falls between the first one's reading and its writing.
  let isBetween = false;
  const blankSecond = createBlankTexts(objects);
  const blankFirst = createBlankTexts({
    ...objects,
    get: async (key, call) => {
      const found = await objects.get(key, call);
      if (!isBetween) {
        isBetween = true;
        expect(await blankSecond(key, [second!], signal)).toBe(1);
      }
      return found;
    },
  });
  expect(await blankFirst("two", [first!], signal)).toBe(1);
  expect(await objects.getText("two", 100)).toBe(" ".repeat(20) + "text 2....");
  expect((await objects.head("two"))?.contentType).toBe(contentType);
});

test("however many are deleted at once, all go, and the object with the last of them", async () => {
  const texts = await putTexts("many", 8);
  const blank = createBlankTexts(objects);
  const counts = await Promise.all(texts.slice(1).map((text) => blank("many", [text], signal)));
  expect(counts).toEqual([1, 1, 1, 1, 1, 1, 1]);
  expect(await objects.getText("many", 100)).toBe("text 0....".padEnd(80));
  expect(await blank("many", texts, signal)).toBe(1);
  expect(await objects.head("many")).toBeUndefined();
  expect(await blank("many", texts, signal)).toBe(0);
});

test("an object that never holds still is left to the order's next try", async () => {
  const [text] = await putTexts("restless", 2);
  const blank = createBlankTexts({ ...objects, replace: async () => false });
  await expect(blank("restless", [text!], signal)).rejects.toThrow("written over by others");
});
