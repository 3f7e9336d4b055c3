import {rawId, type RawId} from '../values/session-id.js';

/** Sorts IDs by their bytes, in place, and removes duplicates. */
export function sortedOnce(ids: RawId[]): RawId[] {
  return once(ids.sort());
}

function once(sorted: RawId[]): RawId[] {
  let count = 0;
  for (const id of sorted) if (id !== sorted[count - 1]) sorted[count++] = id;
  sorted.length = count;
  return sorted;
}

/** IDs to sort at a time, as one run. */
const RUN = 16_384;

/** Sorted IDs as bytes, one after another, and where each one ends. */
interface Run {
  bytes: Buffer;
  ends: Uint32Array;
}

/**
 * Collects IDs in any order, duplicates included, and reads them sorted by their bytes, each once. Most are held as
 * bytes in sorted runs: a million strings would take twice the memory, and sorting them at once half of that again.
 */
export class SortedIds {
  private readonly runs: Run[] = [];
  /** IDs that are not in a run yet. */
  private recent: RawId[] = [];

  add(ids: readonly RawId[]): void {
    for (const id of ids) {
      this.recent.push(id);
      if (this.recent.length < RUN) continue;
      this.runs.push(pack(this.recent.sort()));
      this.recent = [];
    }
  }

  /** Forwards or backwards. */
  *read({reverse}: {reverse: boolean}): Generator<RawId> {
    const recent = reverse ? this.recent.sort().toReversed() : this.recent.sort();
    let last: RawId | undefined;
    for (const block of mergeAll([...this.runs.map((run) => unpack(run, reverse)), [recent]], reverse)) {
      for (const id of block) {
        if (id !== last) yield id;
        last = id;
      }
    }
  }
}

function pack(ids: readonly RawId[]): Run {
  const bytes = Buffer.allocUnsafe(ids.reduce((sum, {length}) => sum + length, 0));
  const ends = new Uint32Array(ids.length);
  let end = 0;
  for (const [index, id] of ids.entries()) {
    end += bytes.write(id, end, 'latin1');
    ends[index] = end;
  }
  return {bytes, ends};
}

/** IDs to pass on at a time: one by one they take several times as long, and more of them grow old in memory. */
const BLOCK = 32;

function* unpack({bytes, ends}: Run, reverse: boolean): Generator<RawId[]> {
  for (let first = 0; first < ends.length; first += BLOCK) {
    const block: RawId[] = [];
    for (let count = first; count < Math.min(first + BLOCK, ends.length); count++) {
      const index = reverse ? ends.length - 1 - count : count;
      block.push(rawId(bytes.toString('latin1', ends[index - 1] ?? 0, ends[index])));
    }
    yield block;
  }
}

function mergeAll(sources: readonly Iterable<RawId[]>[], reverse: boolean): Iterable<RawId[]> {
  if (sources.length < 2) return sources[0] ?? [];
  const middle = sources.length >> 1;
  return merge(mergeAll(sources.slice(0, middle), reverse), mergeAll(sources.slice(middle), reverse), reverse);
}

function* merge(one: Iterable<RawId[]>, other: Iterable<RawId[]>, reverse: boolean): Generator<RawId[]> {
  const blocks = other[Symbol.iterator]();
  let rest = nextOf(blocks);
  let at = 0;
  let merged: RawId[] = [];
  for (const block of one) {
    for (const id of block) {
      for (let next = rest[at]; next !== undefined && (reverse ? next > id : next < id); next = rest[at]) {
        merged.push(next);
        if (++at === rest.length) [rest, at] = [nextOf(blocks), 0];
      }
      merged.push(id);
      if (merged.length < BLOCK) continue;
      yield merged;
      merged = [];
    }
  }
  yield merged;
  for (; rest.length > 0; [rest, at] = [nextOf(blocks), 0]) yield rest.slice(at);
}

/** The next one that is not empty; an empty one at the end. */
function nextOf(blocks: Iterator<RawId[]>): RawId[] {
  for (let next = blocks.next(); next.done !== true; next = blocks.next()) if (next.value.length > 0) return next.value;
  return [];
}
