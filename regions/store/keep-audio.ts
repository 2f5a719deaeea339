import { ApiError } from "../../shared/errors/problem.ts";
import type { ObjectStore } from "./object-store-port.ts";

export interface KeepAudio {
  from: string;
  /** Content address. */
  to: string;
  /** Of the very bytes that the address was made of: whoever has the upload's URL can replace them until it expires. */
  etag: string | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Copies an upload to its content address. What is there is the same, and writing it again would replicate it again.
 * @throws ApiError upload_not_found | dependency_unavailable, also when the upload was replaced
 */
export async function keepAudio(
  objects: Pick<ObjectStore, "head" | "copy">,
  { from, to, etag, signal }: KeepAudio,
): Promise<void> {
  const call = signal ? { signal } : {};
  if (await objects.head(to, call)) return;
  if (!(await objects.copy(from, to, { ...call, ifMatch: etag }))) {
    throw new ApiError("upload_not_found");
  }
}
