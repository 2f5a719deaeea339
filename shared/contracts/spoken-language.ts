import { z } from "zod";

/** Languages that an engine for transcripts may know: those that Whisper models are trained on, by the codes they use. */
export const spokenLanguages =
  "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue".split(
    " ",
  );

/** Languages that Whisper knows by another code than the ISO's. */
const otherCodes: Readonly<Record<string, string>> = { jv: "jw", nb: "no", iw: "he", fil: "tl" };

const names = new Intl.DisplayNames("en", { type: "language" });

/**
 * The code of a language that was named by its code, by a tag such as `en-US`, or by its name in English; undefined when
 * no engine may know it.
 */
export function readSpokenLanguage(text: string): string | undefined {
  const asked = text.trim().toLowerCase();
  const tag = asked.split(/[-_]/, 1)[0]!;
  const code = otherCodes[tag] ?? tag;
  return spokenLanguages.includes(code)
    ? code
    : spokenLanguages.find((own) => nameOfLanguage(own) === asked);
}

/** In English and small letters; `unknown` for the code `und`. */
export function nameOfLanguage(code: string): string {
  if (code === "und") return "unknown";
  return (names.of(otherCodes[code] ?? (code === "jw" ? "jv" : code)) ?? code).toLowerCase();
}

export const SpokenLanguage = z
  .string()
  .regex(/^[a-z]{2,3}$/, { error: "must be an ISO 639 code, such as en" })
  .meta({
    description:
      "Of the speech, ISO 639-1, such as en; found out when absent, by engines that can. `language_unsupported` where no engine has it",
  });

/** Name of a model for transcripts, as the manifest of models has it. */
export const TranscriptModel = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/i, { error: "is not the name of a model" })
  .meta({
    description:
      "What is to listen; the best engine that is installed when absent. `model_unavailable` where it is not installed",
  });
