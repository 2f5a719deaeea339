interface SampleArrayType<T> {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): T;
}

/** Views `count` samples at the start of a native buffer, copying only where its alignment forbids a view. */
export function viewSamples<T>(type: SampleArrayType<T>, plane: Buffer, count: number): T {
  const bytes = count * type.BYTES_PER_ELEMENT;
  if (plane.length < bytes) throw new RangeError("The native buffer is shorter than its samples.");
  if (plane.byteOffset % type.BYTES_PER_ELEMENT === 0)
    return new type(plane.buffer, plane.byteOffset, count);
  return new type(Uint8Array.prototype.slice.call(plane, 0, bytes).buffer, 0, count);
}
