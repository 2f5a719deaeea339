import { z } from "zod";
import { JobId } from "./ids.ts";
import { DeadlineS, Metadata, Priority, UserId } from "./job.ts";
import { CreateSpeech } from "./speech.ts";
import { WebhookUrl } from "./webhook-url.ts";

/** `POST /v1/audio/speech/async`: the same order as for speech that is listened to, to be done when there is time. */
export const CreateSpeechJob = CreateSpeech.omit({ stream_format: true })
  .extend({
    priority: Priority.default("standard"),
    user_id: UserId.optional(),
    metadata: Metadata.optional(),
    deadline_s: DeadlineS.optional().meta({
      description:
        "Seconds from now by which it is to be done, else it fails with `deadline_exceeded`",
    }),
    webhook_url: WebhookUrl.optional().meta({
      description: "Told once the job has ended, beside the tenant's endpoints",
    }),
  })
  .meta({ id: "CreateSpeechJob" });
export type CreateSpeechJob = z.infer<typeof CreateSpeechJob>;

export const SpeechJobAccepted = z
  .strictObject({
    job_id: JobId,
    status_url: z.url(),
    estimated_seconds: z.number().min(0).meta({
      description: "Until it is done, if those before it are as long as it is itself",
    }),
  })
  .meta({ id: "SpeechJobAccepted" });
export type SpeechJobAccepted = z.infer<typeof SpeechJobAccepted>;
