import { z } from "zod";
import { checkWriteConditions } from "./conditions.ts";
import { writeChunks } from "./durable-files.ts";
import type { NamedPart } from "./multipart-storage.ts";
import { checksumHeaders, readAttributes } from "./object-attributes.ts";
import { type Operation, locate } from "./operation.ts";
import type { S3Request } from "./parse-request.ts";
import { receiveBody, receiveText } from "./receive-body.ts";
import { S3Error } from "./s3-error.ts";
import { parseXml } from "./s3-xml.ts";
import { sendAnswer, sendXml } from "./send-answer.ts";

const MAX_PARTS = 10_000;
const MAX_XML_BYTES = 4 * 1024 * 1024;

const completeSchema = z.object({
  Part: z
    .array(
      z.object({
        PartNumber: z.string().regex(/^\d{1,5}$/),
        ETag: z.string(),
        ChecksumCRC32: z.string().optional(),
        ChecksumSHA1: z.string().optional(),
        ChecksumSHA256: z.string().optional(),
      }),
    )
    .min(1)
    .max(MAX_PARTS),
});

export const createMultipartUpload: Operation = async (services, { request, response }) => {
  const { bucket, key } = locate(request);
  services.storage.index(bucket);
  const uploadId = await services.multipart.create(bucket, key, readAttributes(request));
  sendXml(response, "InitiateMultipartUploadResult", {
    Bucket: bucket,
    Key: key,
    UploadId: uploadId,
  });
};

export const uploadPart: Operation = async (services, { request, response, payloadHash }) => {
  const { bucket, key } = locate(request);
  if (request.amz("x-amz-copy-source") !== undefined) {
    throw new S3Error("NotImplemented", "UploadPartCopy is not implemented here.");
  }
  const upload = services.multipart.find(uploadIdOf(request), bucket, key);
  const number = request.query.get("partNumber") ?? "";
  if (!/^[1-9]\d{0,4}$/.test(number) || Number(number) > MAX_PARTS) {
    throw new S3Error("InvalidArgument", "Part number must be an integer from 1 to 10000.");
  }
  await services.storage.withTemporary(async (temporary) => {
    const body = await receiveBody(request, payloadHash, services.maxObjectBytes, (chunks) =>
      writeChunks(temporary, chunks),
    );
    const etag = await services.multipart.addPart(upload, Number(number), body, temporary);
    sendAnswer(response, 200, { etag: `"${etag}"`, ...checksumHeaders(body) });
  });
};

export const completeMultipartUpload: Operation = async (
  { storage, multipart },
  { request, response, payloadHash },
) => {
  const { bucket, key } = locate(request);
  const id = uploadIdOf(request);
  const text = await receiveText(request, payloadHash, MAX_XML_BYTES);
  const parsed = completeSchema.safeParse(parseXml("CompleteMultipartUpload", text));
  if (!parsed.success) throw new S3Error("MalformedXML", "The list of parts is malformed.");
  const parts = parsed.data.Part.map((part): NamedPart => {
    const checksums: NamedPart["checksums"] = {};
    if (part.ChecksumCRC32 !== undefined) checksums.crc32 = part.ChecksumCRC32;
    if (part.ChecksumSHA1 !== undefined) checksums.sha1 = part.ChecksumSHA1;
    if (part.ChecksumSHA256 !== undefined) checksums.sha256 = part.ChecksumSHA256;
    return { number: Number(part.PartNumber), etag: part.ETag.replaceAll('"', ""), checksums };
  });

  // A client whose first answer was lost asks again, and must hear the same.
  let object = storage.find(bucket, key);
  if (object?.uploadId !== id) {
    const upload = multipart.find(id, bucket, key);
    object = await multipart.complete(upload, parts, (content, temporary) => {
      const draft = { bucket, key, uploadId: id, ...upload.attributes, ...content };
      return storage.commit(draft, temporary, (existing) =>
        checkWriteConditions(request, existing),
      );
    });
  }
  sendXml(response, "CompleteMultipartUploadResult", {
    Location: `/${bucket}/${key}`,
    Bucket: bucket,
    Key: key,
    ETag: `"${object.etag}"`,
  });
};

export const abortMultipartUpload: Operation = async ({ multipart }, { request, response }) => {
  const { bucket, key } = locate(request);
  await multipart.abort(multipart.find(uploadIdOf(request), bucket, key));
  sendAnswer(response, 204);
};

function uploadIdOf(request: S3Request): string {
  return request.query.get("uploadId") ?? "";
}
