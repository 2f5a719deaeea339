import { CreateUpload, MAX_UPLOAD_BYTES, type Upload } from "../../shared/contracts/api.ts";
import { mintUploadId, readId } from "../../shared/contracts/ids.ts";
import { uploadKey } from "../../shared/contracts/object-keys.ts";
import { ApiError, parseRequest } from "../../shared/errors/problem.ts";
import { parseJson, readJsonText } from "../admit/read-body.ts";
import type { EdgeContext } from "../context.ts";
import type { EdgeServices } from "../services.ts";
import { json } from "./answer.ts";

/** `POST /v1/uploads`: a presigned PUT into the nearest permitted region's bucket. Nothing is stored. */
export function createUpload({ router, once, objects }: EdgeServices) {
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
    const mintId = () => mintUploadId(candidates[0]!);

    return once(c, { body, mintId }, async (uploadId) => {
      // A resumed request keeps the id of the first, and with it that one's region.
      const region = readId(uploadId)!.region;
      const owner = { residency: key.residency, tenantId: key.tenant_id };
      const presigned = await objects.presignPut(region, uploadKey(owner, uploadId), {
        contentType: wanted.content_type,
        bytes: wanted.bytes,
        sha256: wanted.sha256,
      });
      const upload: Upload = {
        upload_id: uploadId,
        url: presigned.url,
        method: "PUT",
        headers: presigned.headers,
        expires_at: new Date(presigned.expiresAtMs).toISOString(),
        region: region.id,
      };
      return json(upload, 201);
    });
  };
}
