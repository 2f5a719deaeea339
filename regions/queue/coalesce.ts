/**
 * Gathers what is asked for in the same turn of the event loop into one call, `most` at a time. A call that is full goes at once,
 * ahead of what the same turn asks for next: of many askers in step, some are then answered while the others' call is under way,
 * and neither side waits for the other. What one call fails with, all that were in it fail with.
 * @param call takes the items in order and settles to one answer for each
 */
export function coalesce<Item, Answer>(
  call: (items: Item[]) => Promise<Answer[]>,
  most = 25,
): (item: Item) => Promise<Answer> {
  interface Waiting {
    item: Item;
    resolve(answer: Answer): void;
    reject(error: unknown): void;
  }
  let gathered: Waiting[] = [];

  function send(): void {
    const batch = gathered;
    gathered = [];
    if (batch.length === 0) return;
    call(batch.map(({ item }) => item)).then(
      (answers) => batch.forEach(({ resolve }, index) => resolve(answers[index]!)),
      (error: unknown) => batch.forEach(({ reject }) => reject(error)),
    );
  }

  return (item) =>
    new Promise((resolve, reject) => {
      if (gathered.length === 0) setImmediate(send);
      gathered.push({ item, resolve, reject });
      if (gathered.length === most) send();
    });
}
