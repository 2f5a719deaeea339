import {
  ChangeMessageVisibilityBatchCommand,
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { findRegion } from "../../shared/contracts/regions.ts";
import { lanes } from "./lanes.ts";
import { sqsError } from "./sqs-errors.ts";

export interface SqsOptions {
  /** Region id of ours; names the AWS region. */
  region: string;
  /** The queues' names begin with it: letters, digits, `-` and `_`. */
  prefix: string;
  /** Absent: AWS itself. */
  endpoint?: string | undefined;
  /** Absent: the SDK's own chain (environment, instance role). */
  accessKeyId?: string | undefined;
  secretAccessKey?: string | undefined;
  connectTimeoutMs?: number;
  requestTimeoutMs?: number;
}

/** A queue on SQS: one of the lanes by its number, `dead` for dead letters, `offers` for what ended. */
export type SqsQueueName = number | "dead" | "offers";

export interface SqsMessage {
  body: string;
  /** Of this receive alone; a later one makes a new one. */
  handle: string;
  /** How often it was received, this time included; about, as SQS says. */
  receives: number;
}

/** Longest that SQS holds back what is sent, seconds. */
export const MOST_DELAY_S = 900;
/** Most messages that one call takes. */
export const MOST_MESSAGES = 10;
/** Longest message, bytes of UTF-8. */
export const MOST_BYTES = 1024 * 1024;

export type SqsCalls = ReturnType<typeof createSqsCalls>;

/**
 * The few calls of SQS that the queue makes; the only module of it that knows the SDK. All reject with QueueUnreachableError while SQS
 * cannot be reached.
 */
export function createSqsCalls(options: SqsOptions) {
  const { region, prefix, endpoint, accessKeyId, secretAccessKey } = options;
  const { connectTimeoutMs = 2000, requestTimeoutMs = 5000 } = options;
  const aws = findRegion(region)?.aws;
  if (!aws) throw new Error(`no region is called ${region}`);
  const client = new SQSClient({
    region: aws,
    requestHandler: {
      connectionTimeout: connectTimeoutMs,
      requestTimeout: requestTimeoutMs,
      throwOnRequestTimeout: true,
    },
    ...(endpoint ? { endpoint } : {}),
    ...(accessKeyId && secretAccessKey ? { credentials: { accessKeyId, secretAccessKey } } : {}),
  });
  const nameOf = (queue: SqsQueueName) =>
    `${prefix}-${typeof queue === "string" ? queue : lanes[queue - 1]!.name.replace(":", "-")}`;

  async function asked<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      throw sqsError(error);
    }
  }

  const urls = new Map<SqsQueueName, Promise<string>>();
  function urlOf(queue: SqsQueueName): Promise<string> {
    let url = urls.get(queue);
    if (!url) {
      url = client
        .send(new GetQueueUrlCommand({ QueueName: nameOf(queue) }))
        .then(({ QueueUrl = "" }) => QueueUrl);
      urls.set(queue, url);
      url.catch(() => urls.delete(queue));
    }
    return url;
  }

  return {
    /** Makes a queue, or finds it made in the same way. */
    create: (queue: SqsQueueName, attributes: Record<string, string>) =>
      asked(async () => {
        await client.send(
          new CreateQueueCommand({ QueueName: nameOf(queue), Attributes: attributes }),
        );
      }),

    /** `group`: whom the message is for, which SQS goes by where it shares fairly. */
    send: (queue: SqsQueueName, body: string, { group = "", delayMs = 0 } = {}) =>
      asked(async () => {
        const seconds = Math.min(MOST_DELAY_S, Math.ceil(delayMs / 1000));
        await client.send(
          new SendMessageCommand({
            QueueUrl: await urlOf(queue),
            MessageBody: body,
            ...(seconds > 0 ? { DelaySeconds: seconds } : {}),
            ...(group === "" ? {} : { MessageGroupId: group }),
          }),
        );
      }),

    /** What is there now, at most MOST_MESSAGES, hidden from others for `hideS`. Does not wait for more to come. */
    receive: (queue: SqsQueueName, most: number, hideS: number) =>
      asked(async () => {
        const { Messages = [] } = await client.send(
          new ReceiveMessageCommand({
            QueueUrl: await urlOf(queue),
            MaxNumberOfMessages: Math.min(MOST_MESSAGES, most),
            VisibilityTimeout: hideS,
            WaitTimeSeconds: 0,
            MessageSystemAttributeNames: ["ApproximateReceiveCount"],
          }),
        );
        return Messages.map(({ Body = "", ReceiptHandle = "", Attributes }): SqsMessage => ({
          body: Body,
          handle: ReceiptHandle,
          receives: Math.max(1, Number(Attributes?.ApproximateReceiveCount) || 1),
        }));
      }),

    remove: (queue: SqsQueueName, handle: string) =>
      asked(async () => {
        await client.send(
          new DeleteMessageCommand({ QueueUrl: await urlOf(queue), ReceiptHandle: handle }),
        );
      }),

    /** Hides messages for `hideS` from now on; settles to whether it could, for each. At most MOST_MESSAGES. */
    hide: (queue: SqsQueueName, handles: string[], hideS: number) =>
      asked(async () => {
        const { Failed = [] } = await client.send(
          new ChangeMessageVisibilityBatchCommand({
            QueueUrl: await urlOf(queue),
            Entries: handles.map((handle, n) => ({
              Id: String(n),
              ReceiptHandle: handle,
              VisibilityTimeout: hideS,
            })),
          }),
        );
        const failed = new Map(Failed.map((entry) => [entry.Id, entry]));
        const ours = Failed.find(({ SenderFault }) => !SenderFault);
        // It was not refused, it was not done: whoever asked may ask again.
        if (ours) throw Object.assign(new Error(ours.Message ?? ours.Code), { name: ours.Code });
        return handles.map((_, n) => !failed.has(String(n)));
      }),

    /** Messages that can be had, that somebody has, and that are not to be had yet; about, as SQS says. */
    count: (queue: SqsQueueName) =>
      asked(async () => {
        const { Attributes = {} } = await client.send(
          new GetQueueAttributesCommand({
            QueueUrl: await urlOf(queue),
            AttributeNames: [
              "ApproximateNumberOfMessages",
              "ApproximateNumberOfMessagesNotVisible",
              "ApproximateNumberOfMessagesDelayed",
            ],
          }),
        );
        return {
          visible: Number(Attributes["ApproximateNumberOfMessages"] ?? 0),
          hidden: Number(Attributes["ApproximateNumberOfMessagesNotVisible"] ?? 0),
          delayed: Number(Attributes["ApproximateNumberOfMessagesDelayed"] ?? 0),
        };
      }),

    close: () => client.destroy(),
  };
}
