/**
 * Opus packets in Ogg pages (RFC 3533, RFC 7845). Written here and not by a muxer: a page leaves as soon as its packets
 * are there, and the serial number is always the same, so equal sound gives equal bytes.
 */

const SERIAL = 0x414e5449;
const CONTINUED_NEVER = 0;
const FIRST = 2;
const LAST = 4;
/** Packets of 20 ms on a page: half a second, and always fewer than the 255 lacing values that a page has. */
const PACKETS_A_PAGE = 25;
/** Opus counts in 48 kHz whatever its input. */
const OPUS_RATE = 48_000;
const MAX_LACED_PACKET = 5 * 255;

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit += 1)
    crc = crc & 0x8000_0000 ? (crc << 1) ^ 0x04c1_1db7 : crc << 1;
  return crc >>> 0;
});

/** CRC-32 of Ogg: polynomial 0x04c11db7, neither reflected nor inverted. */
function crcOf(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) crc = ((crc << 8) ^ crcTable[((crc >>> 24) ^ byte) & 0xff]!) >>> 0;
  return crc;
}

export interface OggOpusWriter {
  /** The two header pages. */
  head(): Uint8Array;
  /** Takes a packet of so many samples at 48 kHz; answers with a page when one is full. */
  packet(data: Uint8Array, samples: number): Uint8Array | undefined;
  /** The last page; `totalSamples` at 48 kHz are played, the padding of the last packet is not. */
  end(totalSamples: number): Uint8Array;
}

/** @param opusHead the encoder's own identification header, in which bytes 10 and 11 are its delay */
export function createOggOpusWriter(opusHead: Uint8Array): OggOpusWriter {
  const preSkip = opusHead[10]! | (opusHead[11]! << 8);
  let sequence = 0;
  let granule = 0;
  let waiting: Uint8Array[] = [];

  function page(packets: readonly Uint8Array[], flags: number, position: number): Uint8Array {
    const lacing: number[] = [];
    for (const { length } of packets) {
      if (length > MAX_LACED_PACKET) throw new RangeError("an Opus packet of impossible length");
      for (let left = length; ; left -= 255) {
        lacing.push(Math.min(left, 255));
        if (left < 255) break;
      }
    }
    const header = new Uint8Array(27 + lacing.length);
    const view = new DataView(header.buffer);
    header.set([0x4f, 0x67, 0x67, 0x53, 0, flags]);
    view.setBigUint64(6, BigInt(position), true);
    view.setUint32(14, SERIAL, true);
    view.setUint32(18, sequence, true);
    view.setUint8(26, lacing.length);
    header.set(lacing, 27);
    sequence += 1;
    const bytes = new Uint8Array(Buffer.concat([header, ...packets]));
    new DataView(bytes.buffer).setUint32(22, crcOf(bytes), true);
    return bytes;
  }

  return {
    head() {
      const vendor = "antiphon";
      const tags = new Uint8Array(8 + 4 + vendor.length + 4);
      tags.set(new TextEncoder().encode("OpusTags"));
      new DataView(tags.buffer).setUint32(8, vendor.length, true);
      tags.set(new TextEncoder().encode(vendor), 12);
      return Buffer.concat([page([opusHead], FIRST, 0), page([tags], CONTINUED_NEVER, 0)]);
    },
    packet(data, samples) {
      // One packet stays back, so that there is always one for the page that ends the stream.
      let full: Uint8Array | undefined;
      if (waiting.length === PACKETS_A_PAGE) {
        full = page(waiting, CONTINUED_NEVER, granule);
        waiting = [];
      }
      waiting.push(data);
      granule += samples;
      return full;
    },
    end: (totalSamples) => page(waiting, LAST, Math.min(granule, preSkip + totalSamples)),
  };
}

/** Samples at `rate`, counted at 48 kHz. */
export const opusSamples = (samples: number, rate: number): number =>
  Math.round((samples * OPUS_RATE) / rate);
