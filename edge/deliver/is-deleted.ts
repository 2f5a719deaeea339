import type { Owner } from "../../shared/contracts/object-keys.ts";

/** Whether an owner's audio was deleted. Asked before anything is served from a cache, which cannot know. */
export type IsDeleted = (owner: Owner, sha256: string) => Promise<boolean>;

/** Where nothing tells of deletions. */
export const nothingDeleted: IsDeleted = async () => false;
