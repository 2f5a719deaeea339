import { ApiError } from "../../../../shared/errors/problem.ts";
import { cleanText } from "./clean-text.ts";
import { findForeignScript } from "./find-foreign-script.ts";
import { normalizeText } from "./normalize-text.ts";
import { splitSentences } from "./split-sentences.ts";

/**
 * The pieces that an English voice says for a text.
 * @throws ApiError text_language_unsupported | text_empty
 */
export function prepareText(text: string): string[] {
  const script = findForeignScript(cleanText(text));
  if (script !== undefined) {
    throw new ApiError(
      "text_language_unsupported",
      `The voices here read English, not ${script}.`,
      {
        errors: [{ path: "input", message: `has letters of ${script}` }],
      },
    );
  }
  const pieces = splitSentences(normalizeText(text));
  if (pieces.length === 0) {
    throw new ApiError("text_empty", undefined, {
      errors: [{ path: "input", message: "has no word or number in it" }],
    });
  }
  return pieces;
}
