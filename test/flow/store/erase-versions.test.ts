import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { createObjectStore } from "../../../regions/store/object-store.ts";

/** A bucket with versioning, as S3 tells of it: the planet's own store has none. It pages by two. */
async function startVersioned(
  entries: { key: string; version: string; at: string; marker?: true; latest?: true }[],
) {
  const left = new Set(entries);
  const server = createServer((request, response) => {
    const url = new URL(request.url!, "http://s3.test");
    const query = url.searchParams;
    if (request.method === "DELETE") {
      const key = decodeURIComponent(url.pathname.split("/").slice(2).join("/"));
      for (const each of left) {
        if (each.key === key && each.version === query.get("versionId")) left.delete(each);
      }
      return void response.writeHead(204).end();
    }
    const after = `${query.get("key-marker") ?? ""} ${query.get("version-id-marker") ?? ""}`;
    const rest = entries
      .filter(({ key }) => key.startsWith(query.get("prefix")!))
      .filter(({ key, version }) => after === " " || `${key} ${version}` > after);
    const page = rest.slice(0, 2);
    const last = page.at(-1);
    const items = page.map(({ key, version, at, marker, latest = false }) => {
      const name = marker ? "DeleteMarker" : "Version";
      return `<${name}><Key>${key}</Key><VersionId>${version}</VersionId><IsLatest>${latest}</IsLatest><LastModified>${at}</LastModified></${name}>`;
    });
    const next = rest.length > 2 && last;
    const more = next
      ? `<IsTruncated>true</IsTruncated><NextKeyMarker>${last.key}</NextKeyMarker><NextVersionIdMarker>${last.version}</NextVersionIdMarker>`
      : "<IsTruncated>false</IsTruncated>";
    response.writeHead(200, { "content-type": "application/xml" });
    response.end(
      `<?xml version="1.0"?><ListVersionsResult>${items.join("")}${more}</ListVersionsResult>`,
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const store = createObjectStore({
    region: "us-east",
    bucket: "versioned",
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    accessKeyId: "AK",
    secretAccessKey: "secret",
    maxAttempts: 1,
    connectTimeoutMs: 20_000,
  });
  onTestFinished(() => {
    store.close();
    server.close();
  });
  return { store, left: () => [...left].map(({ key, version }) => `${key}@${version}`) };
}

test("every version goes, and every delete marker, of what begins with the prefix and is not newer", async () => {
  const at = "2026-01-01T00:00:00.000Z";
  const { store, left } = await startVersioned([
    { key: "audio/a.wav", version: "1", at },
    { key: "audio/a.wav", version: "2", at },
    { key: "audio/a.wav", version: "3", at, marker: true },
    { key: "audio/b.wav", version: "4", at },
    { key: "audio/b.wav", version: "5", at: "2026-02-01T00:00:00.000Z" },
    { key: "results/c.json", version: "6", at },
  ]);
  const upTo = new Date("2026-01-15T00:00:00.000Z");
  expect(await store.eraseVersions("audio/", { upTo })).toBe(3);
  expect(left()).toEqual(["audio/b.wav@5", "results/c.json@6"]);
});

test("what an object is now can be spared", async () => {
  const at = "2026-01-01T00:00:00.000Z";
  const { store, left } = await startVersioned([
    { key: "uploads/a", version: "1", at },
    { key: "uploads/a", version: "2", at },
    { key: "uploads/a", version: "3", at, latest: true },
  ]);
  expect(await store.eraseVersions("uploads/a", { keepNewest: true })).toBe(2);
  expect(left()).toEqual(["uploads/a@3"]);
});
