/** Whether an `If-None-Match` names the tag, by the weak comparison that RFC 9110 (13.1.2) asks for. */
export function matchesTag(header: string | null | undefined, etag: string): boolean {
  if (header == null) return false;
  const opaque = (tag: string) => tag.trim().replace(/^W\//, "");
  return header.split(",").some((tag) => tag.trim() === "*" || opaque(tag) === opaque(etag));
}
