import {
  CompleteUpload,
  CreateUpload,
  MAX_SINGLE_PUT_BYTES,
  MAX_UPLOAD_BYTES,
  UPLOAD_PART_BYTES,
  type Upload,
  type UploadInParts,
} from "../../shared/contracts/api.ts";
import {
  mintMultiRegionUploadId,
  mintUploadId,
  readId,
  UploadId,
} from "../../shared/contracts/ids.ts";
import { uploadKey, type Owner } from "../../shared/contracts/object-keys.ts";
import { isPermitted } from "../../shared/contracts/regions.ts";
import { ApiError, parseRequest } from "../../shared/errors/problem.ts";
import { parseJson, readJsonText } from "../admit/read-body.ts";
import type { EdgeContext } from "../context.ts";
import type { EdgeServices } from "../services.ts";
import { baseUrl, json } from "./answer.ts";

/**
 * `POST /v1/uploads`: presigned PUTs into the nearest permitted region's bucket, one, or above 100 MiB one for each part. Nothing
 * is stored here: the id names the region, the region's key the object, and the bucket knows of the parts.
 */
export function createUpload({ config, router, once, objects, secondCopy }: EdgeServices) {
  type Wanted = ReturnType<typeof CreateUpload.parse>;

  async function inOnePiece(owner: Owner, uploadId: string, wanted: Wanted): Promise<Upload> {
    const region = readId(uploadId)!.region;
    const presigned = await objects.presignPut(region, uploadKey(owner, uploadId), {
      contentType: wanted.content_type,
      bytes: wanted.bytes,
      sha256: wanted.sha256,
    });
    return {
      upload_id: uploadId,
      url: presigned.url,
      method: "PUT",
      headers: presigned.headers,
      expires_at: new Date(presigned.expiresAtMs).toISOString(),
      region: region.id,
    };
  }

  async function inParts(
    owner: Owner,
    uploadId: string,
    wanted: Wanted,
    base: string,
  ): Promise<UploadInParts> {
    const region = readId(uploadId)!.region;
    const key = uploadKey(owner, uploadId);
    const multipartId = await objects.createMultipart(region, key, wanted.content_type);
    const count = Math.ceil(wanted.bytes / UPLOAD_PART_BYTES);
    const presigned = await Promise.all(
      Array.from({ length: count }, async (_, i) => {
        const bytes = Math.min(UPLOAD_PART_BYTES, wanted.bytes - i * UPLOAD_PART_BYTES);
        const part = { multipartId, number: i + 1, bytes };
        return { bytes, ...(await objects.presignPart(region, key, part)) };
      }),
    );
    return {
      upload_id: uploadId,
      multipart_id: multipartId,
      parts: presigned.map(({ url, bytes }, i) => ({
        part_number: i + 1,
        url,
        method: "PUT",
        bytes,
      })),
      complete_url: `${base}/v1/uploads/${uploadId}/complete`,
      expires_at: new Date(presigned[0]!.expiresAtMs).toISOString(),
      region: region.id,
    };
  }

  return async (c: EdgeContext): Promise<Response> => {
    const body = await readJsonText(c.req.raw);
    const wanted = parseRequest(CreateUpload, parseJson(body));
    if (wanted.bytes > MAX_UPLOAD_BYTES) {
      throw new ApiError(
        "upload_too_large",
        `An upload may have ${MAX_UPLOAD_BYTES} bytes at most.`,
      );
    }
    const { key } = c.get("caller");
    const candidates = router.candidates({ request: c.req.raw, residency: key.residency });
    const isMulti = wanted.durability === "multi_region";
    if (isMulti) secondCopy.assertPossible(key.residency);
    const mintId = () => (isMulti ? mintMultiRegionUploadId : mintUploadId)(candidates[0]!);

    return once(c, { body, mintId }, async (uploadId) => {
      // A resumed request keeps the id of the first, and with it that one's region.
      const owner = { residency: key.residency, tenantId: key.tenant_id };
      const upload =
        wanted.bytes > MAX_SINGLE_PUT_BYTES
          ? await inParts(owner, uploadId, wanted, baseUrl(c, config.publicUrl))
          : await inOnePiece(owner, uploadId, wanted);
      return json(upload, 201);
    });
  };
}

/**
 * `POST /v1/uploads/{id}/complete`: has the bucket put the parts together. The object's key holds the caller's own tenant, so
 * that the id of another's upload leads nowhere. What is never completed, the bucket removes after a day.
 */
export function completeUpload({ config, objects }: EdgeServices) {
  return async (c: EdgeContext): Promise<Response> => {
    const id = UploadId.safeParse(c.req.param("id"));
    const region = id.success ? readId(id.data)?.region : undefined;
    if (!id.success || !region) throw new ApiError("upload_not_found");
    const wanted = parseRequest(CompleteUpload, parseJson(await readJsonText(c.req.raw)));
    const { key } = c.get("caller");
    const here = config.regions.some((known) => known.id === region.id);
    if (!here || !isPermitted(key.residency, region)) throw new ApiError("upload_not_found");
    const owner = { residency: key.residency, tenantId: key.tenant_id };
    await objects.completeMultipart(
      region,
      uploadKey(owner, id.data),
      wanted.multipart_id,
      wanted.parts,
    );
    return json({ upload_id: id.data, region: region.id });
  };
}
