/** Splits a list into groups of this size; the last one may be smaller. */
export function inGroups<T>(list: readonly T[], size: number): T[][] {
  const groups: T[][] = [];
  for (let first = 0; first < list.length; first += size) groups.push(list.slice(first, first + size));
  return groups;
}

/** Pages to read ahead while one is used, so that neither Redis nor its client waits for the other. */
const AHEAD = 2;

/** The results of `read` for each page, in order. */
export async function* readAhead<P, R>(
  pages: Iterable<P> | AsyncIterable<P>,
  read: (page: P) => Promise<R>,
): AsyncGenerator<R> {
  const left = Symbol.asyncIterator in pages ? pages[Symbol.asyncIterator]() : pages[Symbol.iterator]();
  const coming: Promise<R>[] = [];
  const begin = async (): Promise<void> => {
    const next = await left.next();
    if (next.done === true) return;
    const answer = read(next.value);
    // When the reader stops early, nobody waits for the next pages.
    answer.catch(() => undefined);
    coming.push(answer);
  };
  for (let count = 0; count <= AHEAD; count++) await begin();
  for (let next = coming.shift(); next !== undefined; next = coming.shift()) {
    const page = await next;
    await begin();
    yield page;
  }
}
