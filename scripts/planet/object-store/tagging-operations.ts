import { z } from "zod";
import { checkTags } from "./object-attributes.ts";
import { type Operation, locate } from "./operation.ts";
import { receiveText } from "./receive-body.ts";
import { S3Error } from "./s3-error.ts";
import { parseXml } from "./s3-xml.ts";
import { sendAnswer, sendXml } from "./send-answer.ts";

const MAX_XML_BYTES = 64 * 1024;

const tagSetSchema = z.union([
  z.literal("").transform(() => ({ Tag: [] })),
  z.object({ Tag: z.array(z.object({ Key: z.string(), Value: z.string() })) }),
]);
const taggingSchema = z.object({ TagSet: tagSetSchema });

export const getObjectTagging: Operation = async ({ storage }, { request, response }) => {
  const { bucket, key } = locate(request);
  const object = storage.find(bucket, key);
  if (!object) throw new S3Error("NoSuchKey", "The specified key does not exist.");
  const tags = Object.entries(object.tags).map(([Key, Value]) => ({ Key, Value }));
  sendXml(response, "Tagging", { TagSet: { Tag: tags } });
};

export const putObjectTagging: Operation = async (services, { request, response, payloadHash }) => {
  const { bucket, key } = locate(request);
  const text = await receiveText(request, payloadHash, MAX_XML_BYTES);
  const parsed = taggingSchema.safeParse(parseXml("Tagging", text));
  if (!parsed.success) throw new S3Error("MalformedXML", "The tag set is malformed.");
  const entries = parsed.data.TagSet.Tag.map(({ Key, Value }): [string, string] => [Key, Value]);
  await services.storage.setTags(bucket, key, checkTags(entries));
  sendAnswer(response, 200);
};
