import type { oas31 } from "zod-openapi";
import { toCurl, type ApiExample } from "../../shared/contracts/api-example.ts";

type Schema = oas31.SchemaObject | oas31.ReferenceObject | undefined;

interface ErrorEntry {
  status: number;
  title: string;
  retryable: boolean;
  help: string;
}

export const REFERENCE_STYLE = `
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 6rem; }
h1 { font-size: 2rem; margin: 0 0 .25rem; } h2 { margin-top: 3rem; } h3 { margin: 2.25rem 0 .25rem; font-size: 1.05rem; }
h4 { margin: 1rem 0 .25rem; font-size: .9rem; opacity: .75; }
code { font: .875em ui-monospace, monospace; overflow-wrap: anywhere; }
nav a { margin-right: 1rem; } a { color: inherit; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-top: 1px solid var(--line); }
pre { font: .8rem/1.5 ui-monospace, monospace; overflow-x: auto; padding: .75rem 1rem; border: 1px solid var(--line); border-radius: .4rem; }
.method { display: inline-block; min-width: 4.5rem; font-weight: 700; }
.quiet { opacity: .7; }
`;

const METHODS = ["get", "head", "post", "put", "patch", "delete"] as const;

const escape = (text: string): string =>
  text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
/** Escaped text in which `code` stays code. */
const prose = (text: string): string => escape(text).replace(/`([^`]+)`/g, "<code>$1</code>");
const table = (head: string[], rows: string[][]): string =>
  rows.length === 0
    ? ""
    : `<table><thead><tr>${head.map((cell) => `<th>${cell}</th>`).join("")}</tr></thead><tbody>${rows
        .map((row) => `<tr>${row.map((cell) => `<td>${cell}</td>`).join("")}</tr>`)
        .join("")}</tbody></table>`;

/** A page with every call, schema and error of the API: no scripts, one inline style, nothing from elsewhere. */
export function renderReference(
  document: oas31.OpenAPIObject,
  errors: Readonly<Record<string, ErrorEntry>>,
  examples: readonly ApiExample[],
): string {
  const calls = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    METHODS.flatMap((method) => {
      const operation = item[method];
      return operation ? [{ path, method, operation }] : [];
    }),
  );
  const groups = (document.tags ?? []).map(({ name, description }) => {
    const own = calls.filter(({ operation }) => operation.tags?.includes(name));
    const about = description ? `<p>${prose(description)}</p>` : "";
    return `<h2>${escape(name)}</h2>${about}${own.map((call) => renderCall(call) + renderExamples(call, examples)).join("")}`;
  });
  const schemas = Object.entries(document.components?.schemas ?? {})
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(
      ([name, schema]) =>
        `<h3 id="schema-${escape(name)}">${escape(name)}</h3>${renderSchema(schema)}`,
    );
  const codes = Object.entries(errors).map(([code, entry]) => [
    `<code id="error-${escape(code)}">${escape(code)}</code>`,
    String(entry.status),
    prose(entry.title),
    entry.retryable ? "yes" : "no",
    prose(entry.help),
  ]);
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escape(document.info.title)} API</title><style>${REFERENCE_STYLE}</style></head><body>
<h1>${escape(document.info.title)} API</h1><p>${prose(document.info.description ?? "")}</p>
<nav><a href="#schemas">Schemas</a><a href="#errors">Errors</a><a href="/openapi.json">OpenAPI</a></nav>
${groups.join("\n")}
<h2 id="schemas">Schemas</h2>${schemas.join("\n")}
<h2 id="errors">Errors</h2>${table(["Code", "Status", "Title", "Retry", "What to do"], codes)}
</body></html>`;
}

function renderCall(call: {
  path: string;
  method: string;
  operation: oas31.OperationObject;
}): string {
  const { path, method, operation } = call;
  const parameters = (operation.parameters ?? []).flatMap((parameter) =>
    "in" in parameter
      ? [
          [
            `<code>${escape(parameter.name)}</code>`,
            parameter.in + (parameter.required ? "" : ", optional"),
            typeOf(parameter.schema as Schema),
            prose(parameter.description ?? descriptionOf(parameter.schema as Schema)),
          ],
        ]
      : [],
  );
  const body =
    operation.requestBody && "content" in operation.requestBody ? operation.requestBody : undefined;
  const bodies = Object.entries(body?.content ?? {}).map(
    ([type, media]) =>
      `<p>Body <code>${escape(type)}</code>: ${typeOf(media.schema as Schema)}</p>`,
  );
  const answers = Object.entries(operation.responses ?? {}).map(([status, response]) => {
    const known = response as oas31.ResponseObject;
    const types = Object.values(known.content ?? {}).map((media) => typeOf(media.schema as Schema));
    return [escape(status), types.join(", "), prose(known.description)];
  });
  return `<h3 id="${escape(operation.operationId ?? path + method)}"><span class="method">${method.toUpperCase()}</span><code>${escape(path)}</code></h3>
<p>${prose(operation.summary ?? "")}. <span class="quiet">${prose(operation.description ?? "")}</span></p>
${table(["Parameter", "In", "Type", ""], parameters)}${bodies.join("")}<h4>Answers</h4>${table(["Status", "Type", ""], answers)}`;
}

function renderExamples(
  { operation }: { operation: oas31.OperationObject },
  examples: readonly ApiExample[],
): string {
  return examples
    .filter(({ operationId }) => operationId === operation.operationId)
    .map((example) => {
      const { status, body, lines = [] } = example.answer;
      const answer = [
        `HTTP ${status}`,
        ...(body === undefined ? [] : [JSON.stringify(body, null, 2)]),
        ...lines.map((line) => JSON.stringify(line)),
      ].join("\n");
      const { title, text } = example.program ?? {};
      const program = text ? `<h4>${escape(title!)}</h4><pre>${escape(text)}</pre>` : "";
      return `<h4>Example</h4><pre>${escape(toCurl(example))}</pre><pre>${escape(answer)}</pre>${program}`;
    })
    .join("");
}

function renderSchema(schema: Schema): string {
  if (!schema || "$ref" in schema || !("properties" in schema) || !schema.properties) {
    return `<p>${typeOf(schema)} ${prose(descriptionOf(schema))}</p>`;
  }
  const required = new Set(schema.required ?? []);
  return table(
    ["Field", "Type", ""],
    Object.entries(schema.properties).map(([name, field]) => [
      `<code>${escape(name)}</code>${required.has(name) ? "" : " <span class='quiet'>optional</span>"}`,
      typeOf(field as Schema),
      prose(descriptionOf(field as Schema)),
    ]),
  );
}

const descriptionOf = (schema: Schema): string =>
  (schema && "description" in schema ? schema.description : undefined) ?? "";

/** A schema in a few words, as HTML; deeper structure is left to the document itself. */
function typeOf(schema: Schema, depth = 0): string {
  if (!schema || depth > 3) return "any";
  if ("$ref" in schema && schema.$ref) {
    const name = escape(schema.$ref.split("/").at(-1)!);
    return `<a href="#schema-${name}">${name}</a>`;
  }
  const known = schema as oas31.SchemaObject;
  if (known.enum)
    return known.enum.map((value) => `<code>${escape(String(value))}</code>`).join(" | ");
  if (known.const !== undefined) return `<code>${escape(String(known.const))}</code>`;
  const options = known.anyOf ?? known.oneOf;
  if (options) return options.map((option) => typeOf(option as Schema, depth + 1)).join(" | ");
  if (known.type === "array") return `list of ${typeOf(known.items as Schema, depth + 1)}`;
  const type = Array.isArray(known.type) ? known.type.join(" | ") : (known.type ?? "any");
  const limits = [
    known.format,
    known.minimum === undefined ? undefined : `≥ ${known.minimum}`,
    known.maximum === undefined || known.maximum >= Number.MAX_SAFE_INTEGER
      ? undefined
      : `≤ ${known.maximum}`,
    known.maxLength === undefined ? undefined : `≤ ${known.maxLength} characters`,
  ].filter((limit) => limit !== undefined);
  return escape([type, ...limits].join(", "));
}
