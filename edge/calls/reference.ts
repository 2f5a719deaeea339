import { apiExamples } from "../../shared/contracts/api-examples.ts";
import { catalogue } from "../../shared/errors/catalogue.ts";
import { describeApi } from "../../shared/contracts/openapi.ts";
import { sha256Hex } from "../../shared/signing/hmac.ts";
import { renderReference, REFERENCE_STYLE } from "../ops/reference-page.ts";

interface Page {
  body: string;
  headers: Record<string, string>;
}

/** `GET /openapi.json` and `GET /docs`, each made once per isolate, when first asked for. */
export function referenceCalls() {
  let document: Page | undefined;
  let docs: Page | undefined;

  async function page(
    body: string,
    type: string,
    more: Record<string, string> = {},
  ): Promise<Page> {
    const etag = `"${(await sha256Hex(body)).slice(0, 32)}"`;
    const headers = { "content-type": type, "cache-control": "public, max-age=300", etag, ...more };
    return { body, headers };
  }

  const answer = ({ body, headers }: Page): Response => new Response(body, { headers });

  return {
    openapi: async (): Promise<Response> => {
      document ??= await page(JSON.stringify(describeApi()), "application/json");
      return answer(document);
    },

    docs: async (): Promise<Response> => {
      docs ??= await page(
        renderReference(describeApi(), catalogue, apiExamples),
        "text/html; charset=utf-8",
        {
          "content-security-policy": `default-src 'none'; style-src 'sha256-${await digest(REFERENCE_STYLE)}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
        },
      );
      return answer(docs);
    },
  };
}

async function digest(text: string): Promise<string> {
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return btoa(String.fromCharCode(...new Uint8Array(bytes)));
}
