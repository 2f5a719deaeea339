import { readId } from "../../shared/contracts/ids.ts";
import { isPermitted, type Region } from "../../shared/contracts/regions.ts";
import type { ApiError } from "../../shared/errors/problem.ts";
import type { JobDraft } from "../ledger/ledger-job.ts";

/**
 * An upload that a region lacks may still lie in its home region, which is asked later or is away; a voice may be installed in
 * another.
 */
export function mayLieElsewhere(error: ApiError, draft: JobDraft, region: Region): boolean {
  if (error.code === "voice_not_installed") return true;
  const home = readId(draft.upload_id)?.region;
  if (error.code !== "upload_not_found" || !home || home.id === region.id) return false;
  return isPermitted(draft.residency, home);
}
