/** A place in Postgres's log as a number of bytes; written as two hexadecimal halves of 32 bits, `16/B374D848`. */
export function lsnBytes(lsn: string): bigint {
  const [high = "0", low = "0"] = lsn.split("/");
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`);
}
