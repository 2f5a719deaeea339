/**
 * Environment that a worker process is to be started with, wherever it runs. glibc gives blocks of 64 KiB and more back to
 * the system as soon as they are free; by default it keeps ever larger ones, and the analysis of an hour's recording takes
 * 30 MB more. Other allocators pay no heed to it.
 */
export const workerEnvironment = { MALLOC_MMAP_THRESHOLD_: "65536" } as const;
