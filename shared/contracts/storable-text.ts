import { z } from "zod";

/** Neither NUL nor half a surrogate pair: Postgres holds neither, and a row that it refuses is lost to every list. */
const isStorable = (text: string): boolean => !text.includes("\0") && !/\p{Cs}/u.test(text);

/** Free text of a client's that ends up in the database; lengths in UTF-16 units. */
export const storableText = (minLength: number, maxLength: number) =>
  z
    .string()
    .min(minLength)
    .max(maxLength)
    .refine(isStorable, "must be whole Unicode characters without NUL");
