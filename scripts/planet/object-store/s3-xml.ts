import { XMLBuilder, XMLParser, XMLValidator } from "fast-xml-parser";
import { S3Error } from "./s3-error.ts";

const NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/";
const LISTS = new Set(["Part", "Tag"]);

const builder = new XMLBuilder({ ignoreAttributes: false, attributeNamePrefix: "@" });
const parser = new XMLParser({
  ignoreAttributes: true,
  parseTagValue: false,
  isArray: (name) => LISTS.has(name),
});

/** Renders a result document of S3's REST API; arrays repeat their element. */
export function renderXml(root: string, content: Record<string, unknown>): string {
  const namespace = root === "Error" ? {} : { "@xmlns": NAMESPACE };
  const document = { [root]: { ...namespace, ...content } };
  return `<?xml version="1.0" encoding="UTF-8"?>\n${builder.build(document)}`;
}

/**
 * Parses a request document and returns what its root element holds; Part and Tag are always arrays.
 * @throws S3Error MalformedXML
 */
export function parseXml(root: string, text: string): Record<string, unknown> {
  const malformed = new S3Error(
    "MalformedXML",
    "The XML you provided was not well-formed or did not validate against our published schema",
  );
  if (text.includes("<!DOCTYPE") || XMLValidator.validate(text) !== true) throw malformed;
  const document = parser.parse(text) as Record<string, unknown>;
  const content = document[root];
  if (content === "") return {};
  if (typeof content !== "object" || content === null) throw malformed;
  return content as Record<string, unknown>;
}
