/** Events in order of time, and of entry among equals: a binary heap. */
export interface Agenda<Event> {
  add(atS: number, event: Event): void;
  next(): { atS: number; event: Event } | undefined;
}

export function createAgenda<Event>(): Agenda<Event> {
  const heap: { atS: number; order: number; event: Event }[] = [];
  let order = 0;
  const before = (a: number, b: number) => {
    const [left, right] = [heap[a]!, heap[b]!];
    return left.atS < right.atS || (left.atS === right.atS && left.order < right.order);
  };
  const swap = (a: number, b: number) => {
    const held = heap[a]!;
    heap[a] = heap[b]!;
    heap[b] = held;
  };
  return {
    add(atS, event) {
      heap.push({ atS, order: (order += 1), event });
      for (let at = heap.length - 1; at > 0;) {
        const parent = (at - 1) >> 1;
        if (!before(at, parent)) break;
        swap(at, parent);
        at = parent;
      }
    },
    next() {
      const first = heap[0];
      const last = heap.pop();
      if (!first || !last || heap.length === 0) return first;
      heap[0] = last;
      for (let at = 0; ;) {
        let least = at;
        for (const child of [2 * at + 1, 2 * at + 2]) {
          if (child < heap.length && before(child, least)) least = child;
        }
        if (least === at) break;
        swap(at, least);
        at = least;
      }
      return first;
    },
  };
}
