/** Hex of a checksum as S3 gives it, in base64; that of an object in parts ends in their number, and is none of the whole. */
export function sha256Of(base64: string | undefined): string | undefined {
  if (base64 === undefined || base64.includes("-")) return undefined;
  const bytes = Buffer.from(base64, "base64");
  return bytes.length === 32 ? bytes.toString("hex") : undefined;
}
