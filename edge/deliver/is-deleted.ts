import type { Owner } from "../../shared/contracts/object-keys.ts";

/**
 * Whether an owner's audio was deleted, as far as a link to it goes that ends then (Unix ms): the same recording may have been sent
 * again since. Asked before anything is served from a cache, which cannot know.
 */
export type IsDeleted = (owner: Owner, sha256: string, linkEndsAtMs: number) => Promise<boolean>;
