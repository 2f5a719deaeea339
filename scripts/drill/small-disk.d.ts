/**
 * Puts a region's folder on a disk of its own, in memory, that can be filled without filling the machine's.
 * @throws where this account may not mount one
 */
export declare function giveSmallDisk(
  stateDir: string,
  region: string,
): Promise<() => Promise<void>>;
/** Writes until nothing more can be written. */
export declare function fillDisk(stateDir: string, region: string): Promise<void>;
export declare function emptyDisk(stateDir: string, region: string): Promise<void>;
