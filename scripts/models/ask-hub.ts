import { z } from "zod";
import { fetchSmall } from "./fetch-small.ts";
import type { FetchOptions } from "./fetch-small.ts";
import { PullError } from "./pull-error.ts";

/** A list of the files of a large repository is some megabytes. */
const LONGEST_ANSWER = 16 * 1024 * 1024;

const Oid = z.string().regex(/^[0-9a-f]{40}$/);

/** What the hub says of a revision: https://huggingface.co/docs/hub/api, with `blobs=true`. Unknown fields are left alone. */
const Answer = z.object({
  sha: Oid,
  siblings: z
    .array(
      z.object({
        rfilename: z.string(),
        size: z.int().min(0).nullish(),
        blobId: Oid.nullish(),
        lfs: z
          .object({ sha256: z.string().regex(/^[0-9a-f]{64}$/), size: z.int().min(0) })
          .nullish(),
      }),
    )
    .max(200_000),
  cardData: z.object({ license: z.unknown().optional() }).nullish(),
});

/** One file of a repository. Large ones have the hash of their content, small ones that of git. */
export interface HubFile {
  bytes: number;
  sha256: string | undefined;
  gitOid: string | undefined;
}

export interface HubRevision {
  commit: string;
  files: ReadonlyMap<string, HubFile>;
  /** As the model's card has it. */
  licence: string | undefined;
}

/**
 * Asks the hub which commit a branch, tag or commit is, and what its files are.
 *
 * @throws {PullError}
 */
export async function askHub(
  repo: string,
  revision: string,
  { endpoint, ...options }: FetchOptions & { endpoint: URL },
): Promise<HubRevision> {
  const base = endpoint.href.replace(/\/*$/, "");
  const url = new URL(
    `${base}/api/models/${repo}/revision/${encodeURIComponent(revision)}?blobs=true`,
  );
  const body = await fetchSmall(url, LONGEST_ANSWER, options);
  const parsed = Answer.safeParse(parse(body));
  if (!parsed.success) throw new PullError(`${url.host} gives no list of the files of ${repo}.`);
  const { sha, siblings, cardData } = parsed.data;
  if (/^[0-9a-f]{40}$/.test(revision) && sha !== revision) {
    throw new PullError(`${url.host} gives the commit ${sha} of ${repo} instead of ${revision}.`);
  }
  const files = new Map(
    siblings.map(({ rfilename, size, blobId, lfs }): [string, HubFile] => [
      rfilename,
      { bytes: lfs?.size ?? size ?? 0, sha256: lfs?.sha256, gitOid: blobId ?? undefined },
    ]),
  );
  const licence = cardData?.license;
  return { commit: sha, files, licence: typeof licence === "string" ? licence : undefined };
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}
