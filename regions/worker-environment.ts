/**
 * Environment that a worker process is to be started with, wherever it runs, so that the analysis of an hour's recording
 * stays below 300 MB. glibc gives blocks of 64 KiB and more back to the system as soon as they are free (by default it keeps
 * ever larger ones; other allocators pay no heed), and what lives briefly is collected before it fills tens of megabytes.
 */
export const workerEnvironment = {
  MALLOC_MMAP_THRESHOLD_: "65536",
  MALLOC_TRIM_THRESHOLD_: "65536",
  NODE_OPTIONS: "--max-semi-space-size=2",
} as const;
