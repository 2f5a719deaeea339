/** One of flite's phones: ARPAbet in lower case, with `ax` for the vowel that is reduced. */
export interface Phone {
  name: string;
  /** Of vowels alone: whether their syllable is stressed. */
  stressed?: boolean;
}

/** A word of normalised text, how it is pronounced where it stands, and the mark behind it. */
export interface PronouncedWord {
  text: string;
  phones: Phone[];
  /** One of `, . ; : ! ?`, or empty. */
  mark: string;
}

/** What flite printed, in the groups between its pauses: “pau hh ax0 l ow1 pau w er1 l d pau” has two. */
export function readPhones(printed: string): Phone[][] {
  const groups: Phone[][] = [];
  let group: Phone[] = [];
  for (const [, name, stress] of printed.matchAll(/([a-z]+)([01]?)/g)) {
    if (name === "pau") {
      if (group.length > 0) groups.push(group);
      group = [];
    } else {
      group.push(stress === "" ? { name: name! } : { name: name!, stressed: stress === "1" });
    }
  }
  if (group.length > 0) groups.push(group);
  return groups;
}
