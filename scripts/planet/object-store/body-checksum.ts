import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { S3Error } from "./s3-error.ts";

/** The checksum algorithms of S3 that this store computes, named as in `x-amz-checksum-NAME`. */
export type ChecksumName = "crc32" | "sha1" | "sha256";

const SUPPORTED: Record<ChecksumName, number> = { crc32: 4, sha1: 20, sha256: 32 };
const NOT_CHECKSUMS = new Set(["mode", "type", "algorithm"]);

/** A running checksum; `digest` gives base64. */
export interface Checksum {
  update: (data: Buffer) => void;
  digest: () => string;
}

/** Starts the named checksum. */
export function createChecksum(name: ChecksumName): Checksum {
  if (name === "crc32") {
    let value = 0;
    return {
      update: (data) => {
        value = crc32(data, value);
      },
      digest: () => {
        const bytes = Buffer.alloc(4);
        bytes.writeUInt32BE(value);
        return bytes.toString("base64");
      },
    };
  }
  const hash = createHash(name);
  return { update: (data) => void hash.update(data), digest: () => hash.digest("base64") };
}

/**
 * The algorithm a header or trailer such as `x-amz-checksum-crc32` names; undefined for other headers.
 * @throws S3Error NotImplemented for an algorithm that this store cannot compute
 */
export function checksumNameOf(header: string): ChecksumName | undefined {
  const name = /^x-amz-checksum-(.+)$/.exec(header)?.[1];
  if (name === undefined || NOT_CHECKSUMS.has(name)) return undefined;
  if (!Object.hasOwn(SUPPORTED, name)) {
    throw new S3Error("NotImplemented", `The checksum ${name} is not implemented here.`);
  }
  return name as ChecksumName;
}

/** @throws S3Error InvalidRequest when the value is not base64 of the algorithm's length */
export function checkChecksumShape(name: ChecksumName, value: string): void {
  const bytes = Buffer.from(value, "base64");
  if (bytes.length !== SUPPORTED[name] || bytes.toString("base64") !== value) {
    throw new S3Error("InvalidRequest", `Value for x-amz-checksum-${name} header is invalid.`);
  }
}
