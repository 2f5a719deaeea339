import { type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { AwsV4Signer } from "aws4fetch";
import { encodePath } from "./canonical-request.ts";
import { replicaHeaders } from "./replica-headers.ts";
import type { StoredObject, Tombstone } from "./stored-object.ts";

const IDLE_TIMEOUT_MS = 10_000;
const EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/** Another region's store. */
export interface Peer {
  region: string;
  /** Origin of its URL, e.g. `http://127.0.0.1:9000`. */
  endpoint: string;
  bucket: string;
}

export interface ReplicaSender {
  sourceRegion: string;
  accessKeyId: string;
  secretAccessKey: string;
}

/** The peer answered, but not with success; it is there, so only this object waits. */
export class ReplicaRefused extends Error {
  constructor(status: number) {
    super(`The peer answered ${status}.`);
    this.name = "ReplicaRefused";
  }
}

/** Writes an object to a peer; the signature covers the SHA-256 of its bytes, so that the peer verifies them. */
export async function sendReplica(
  sender: ReplicaSender,
  peer: Peer,
  object: StoredObject,
  bytes: Readable,
  signal: AbortSignal,
): Promise<void> {
  const headers: Record<string, string> = {
    ...object.headers,
    ...replicaHeaders(sender.sourceRegion, { modified: object.lastModified, etag: object.etag }),
    "content-type": object.contentType,
    "content-length": String(object.size),
    "x-amz-content-sha256": object.sha256,
  };
  for (const [name, value] of Object.entries(object.userMetadata)) {
    headers[`x-amz-meta-${name}`] = value;
  }
  for (const [name, value] of Object.entries(object.checksums)) {
    headers[`x-amz-checksum-${name}`] = value;
  }
  const tags = new URLSearchParams(object.tags).toString();
  if (tags !== "") headers["x-amz-tagging"] = tags;
  await send(sender, peer, "PUT", object.key, headers, bytes, signal);
}

/** Tells a peer of a delete. */
export async function sendDelete(
  sender: ReplicaSender,
  peer: Peer,
  tombstone: Tombstone,
  signal: AbortSignal,
): Promise<void> {
  const headers = {
    ...replicaHeaders(sender.sourceRegion, { modified: tombstone.deletedAt }),
    "x-amz-content-sha256": EMPTY_SHA256,
  };
  await send(sender, peer, "DELETE", tombstone.key, headers, undefined, signal);
}

async function send(
  sender: ReplicaSender,
  peer: Peer,
  method: "PUT" | "DELETE",
  key: string,
  headers: Record<string, string>,
  bytes: Readable | undefined,
  signal: AbortSignal,
): Promise<void> {
  const signer = new AwsV4Signer({
    method,
    url: `${peer.endpoint}${encodePath(`/${peer.bucket}/${key}`)}`,
    headers,
    accessKeyId: sender.accessKeyId,
    secretAccessKey: sender.secretAccessKey,
    region: peer.region,
    service: "s3",
    allHeaders: true,
  });
  const signed = await signer.sign();
  const open = signed.url.protocol === "https:" ? httpsRequest : httpRequest;
  const outgoing = open(signed.url, {
    method,
    headers: Object.fromEntries(signed.headers),
    signal,
    timeout: IDLE_TIMEOUT_MS,
  });
  outgoing.once("timeout", () => outgoing.destroy(new Error("The peer has gone silent.")));
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once("response", resolve);
    outgoing.on("error", reject);
  });
  // A refusal may come before all bytes are sent; then the answer counts, not the broken pipe.
  const sent = bytes ? pipeline(bytes, outgoing).catch(() => undefined) : outgoing.end();
  try {
    const { statusCode = 0 } = await answered.then((answer) => answer.resume());
    if (statusCode < 200 || statusCode > 299) throw new ReplicaRefused(statusCode);
    await sent;
  } finally {
    outgoing.destroy();
    bytes?.destroy();
  }
}
