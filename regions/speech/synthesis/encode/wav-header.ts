/** What writers that cannot go back put where a length belongs; players then read to the end. */
const UNKNOWN = 0xffff_ffff;
const HEADER_BYTES = 44;

/** The header of a mono wav of 16 bits; without `samples`, of one whose length is not known yet. */
export function wavHeader(rate: number, samples?: number): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(HEADER_BYTES);
  const view = new DataView(header.buffer);
  const bytes = samples === undefined ? UNKNOWN : samples * 2;
  header.set(new TextEncoder().encode("RIFF    WAVEfmt "));
  view.setUint32(4, samples === undefined ? UNKNOWN : bytes + HEADER_BYTES - 8, true);
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * 2, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  header.set(new TextEncoder().encode("data"), 36);
  view.setUint32(40, bytes, true);
  return header;
}

/** Puts the lengths into a whole wav that was made as a stream, and so began without them. */
export function setWavLengths(wav: Uint8Array): void {
  const view = new DataView(wav.buffer, wav.byteOffset, wav.byteLength);
  view.setUint32(4, wav.byteLength - 8, true);
  view.setUint32(40, wav.byteLength - HEADER_BYTES, true);
}
