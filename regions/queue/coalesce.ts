export interface CoalesceOptions {
  /** Items of one call, at most. */
  most?: number;
  /** Calls under way at a time, at most; what is asked for meanwhile is gathered. */
  atOnce?: number;
}

/**
 * Gathers what is asked for in the same turn of the event loop into one call. A call that is full goes at once, ahead of what the
 * same turn asks for next: of many askers in step, some are then answered while the others' call is under way, and neither side
 * waits for the other. What one call fails with, all that were in it fail with.
 * @param call takes the items in order and settles to one answer for each
 */
export function coalesce<Item, Answer>(
  call: (items: Item[]) => Promise<Answer[]>,
  { most = 25, atOnce = Number.POSITIVE_INFINITY }: CoalesceOptions = {},
): (item: Item) => Promise<Answer> {
  interface Waiting {
    item: Item;
    resolve(answer: Answer): void;
    reject(error: unknown): void;
  }
  let gathered: Waiting[] = [];
  let underWay = 0;

  function send(): void {
    while (gathered.length > 0 && underWay < atOnce) {
      const batch = gathered.slice(0, most);
      gathered = gathered.slice(most);
      underWay++;
      call(batch.map(({ item }) => item))
        .finally(() => {
          underWay--;
          if (gathered.length > 0) setImmediate(send);
        })
        .then(
          (answers) => batch.forEach(({ resolve }, index) => resolve(answers[index]!)),
          (error: unknown) => batch.forEach(({ reject }) => reject(error)),
        );
    }
  }

  return (item) =>
    new Promise((resolve, reject) => {
      if (gathered.length === 0) setImmediate(send);
      gathered.push({ item, resolve, reject });
      if (gathered.length === most) send();
    });
}
