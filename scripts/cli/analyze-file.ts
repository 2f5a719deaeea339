import { basename } from "node:path";
import type { Client } from "../../shared/client/client.ts";
import type { Job } from "../../shared/contracts/api.ts";
import { isFinal } from "../../shared/client/client.ts";
import type { AnalysisPart, Priority } from "../../shared/contracts/job.ts";
import { openAudioFile } from "./audio-file.ts";
import { createProgress } from "./progress.ts";

export interface AnalyzeFile {
  client: Client;
  path: string;
  parts?: AnalysisPart[] | undefined;
  priority?: Priority | undefined;
  /** For the transcript. */
  language?: string | undefined;
  model?: string | undefined;
  user?: string | undefined;
  /** Accepted only once the recording lies in two regions. */
  multiRegion?: boolean | undefined;
  signal: AbortSignal;
}

/** Uploads a file, has it analysed and waits for the end, with progress on standard error. @throws UsageError */
export async function analyzeFile(wanted: AnalyzeFile): Promise<Job> {
  const { client, path, parts, priority, language, model, user, multiRegion, signal } = wanted;
  const file = await openAudioFile(path);
  const progress = createProgress();
  try {
    const { contentType, bytes, sha256, blob } = file;
    progress.show("asking for an upload");
    const upload = await client.upload(
      { blob, contentType, sha256, durability: multiRegion ? "multi_region" : undefined },
      {
        signal,
        onRegion: (region) =>
          progress.show(
            `uploading ${basename(path)} (${(bytes / 1e6).toFixed(2)} MB) to ${region}`,
          ),
      },
    );
    progress.show("creating the analysis");
    const { id } = await client.createAnalysis(
      {
        upload_id: upload.upload_id,
        ...(parts ? { parts } : {}),
        ...(priority ? { priority } : {}),
        ...(language ? { language } : {}),
        ...(model ? { model } : {}),
        ...(user ? { user_id: user } : {}),
      },
      signal,
    );
    const since = Date.now();
    return await client.waitForJob(id, {
      signal,
      onUpdate: (seen) => {
        if (!isFinal(seen)) progress.show(`${describe(seen)}, ${seconds(since)} s`);
      },
    });
  } finally {
    progress.stop();
  }
}

const seconds = (since: number) => Math.round((Date.now() - since) / 1000);

function describe(job: Job): string {
  const where = `${job.id} ${job.status} in ${job.region}`;
  if (job.waiting_for) return `${where}, waiting for ${job.waiting_for}`;
  if (job.progress !== undefined) return `${where}, ${Math.round(job.progress * 100)} %`;
  if (job.queue_position) return `${where}, ${job.queue_position} before it`;
  return where;
}
