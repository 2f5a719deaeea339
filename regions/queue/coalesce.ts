/**
 * Gathers what is asked for in the same turn of the event loop into one call, `most` at a time. What one call fails with, all
 * that were in it fail with.
 * @param call takes the items in order and settles to one answer for each
 */
export function coalesce<Item, Answer>(
  call: (items: Item[]) => Promise<Answer[]>,
  most = 64,
): (item: Item) => Promise<Answer> {
  interface Waiting {
    item: Item;
    resolve(answer: Answer): void;
    reject(error: unknown): void;
  }
  let gathered: Waiting[] = [];

  function send(batch: Waiting[]): void {
    call(batch.map(({ item }) => item)).then(
      (answers) => batch.forEach(({ resolve }, index) => resolve(answers[index]!)),
      (error: unknown) => batch.forEach(({ reject }) => reject(error)),
    );
  }
  function flush(): void {
    const all = gathered;
    gathered = [];
    for (let from = 0; from < all.length; from += most) send(all.slice(from, from + most));
  }

  return (item) =>
    new Promise((resolve, reject) => {
      if (gathered.length === 0) setImmediate(flush);
      gathered.push({ item, resolve, reject });
    });
}
