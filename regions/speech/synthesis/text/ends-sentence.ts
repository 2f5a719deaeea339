/** Whether a full stop that ends before `at` also ends its sentence: nothing follows, or a new line, or a capital. */
export function endsSentence(text: string, at: number): boolean {
  const next = text.slice(at, at + 4);
  return /^(\s*$|\s*\n|["')]*\s+["'(]*[A-Z])/.test(next);
}
