import {type Outcome, runBatch} from '../change/batch.js';
import type {Change} from '../change/change.js';
import {keyName, type KeyShape} from '../gateway/keys.js';
import {quoteStart, WRONG_TYPE} from '../gateway/stored-text.js';
import type {Held} from '../gateway/stored-value.js';
import {inText, type Journal} from '../journal/entry.js';
import {DECIDE_REPAIR, REPAIR} from '../lua/scripts.js';
import type {Redis} from '../redis/contract.js';
import {nameOf, type RawId} from '../values/session-id.js';

/** Repairs one thing in a session, if it is still as it was found. */
export interface Repair {
  id: RawId;
  /** The repair, as in "to …". */
  action: string;
  /** A step for each key that matters; the first is the one with the finding. */
  steps: RepairStep[];
}

export interface RepairStep {
  shape: KeyShape;
  /**
   * The value that the key must still have: a text, of which the first `VALUE_LIMIT` bytes count, one character a byte;
   * false for no key, true for a value that is not text; null when it does not matter.
   */
  expected: string | boolean | null;
  /**
   * The new value. A text replaces the value; without one the value stays, if it is a text. It expires at this time, or
   * after this many milliseconds.
   */
  to: 'stay' | 'delete' | {text?: string; end: Date | number | 'never'};
}

/** In bytes. Valid values are shorter, so no more is read of a longer one. */
export const VALUE_LIMIT = 2048;

/** Repairs in one run: one question covers them, and they are held in memory. Another run makes the rest. */
export const MAX_REPAIRS = 10_000;

export interface RepairOptions {
  now: Date;
  journal: Journal | undefined;
  /** When aborted, the repairs under way are finished, and no other begins. */
  stop: AbortSignal;
}

/**
 * Makes repairs, each in one atomic step, and yields the outcome of each. A value that has changed since it was found
 * is `unchanged`: it is left alone. A repair that another one has made beside its own key comes after that one, and was
 * done with it.
 */
export async function* makeRepairs<T extends {repair: Repair}>(
  redis: Redis,
  findings: readonly T[],
  {now, journal, stop}: RepairOptions,
): AsyncGenerator<{finding: T; outcome: Outcome<null>}> {
  const beside = new Set(findings.flatMap(({repair}) => keysBeside(repair)));
  const isBeside = ({repair}: T): boolean => beside.has(ownKey(repair));
  const kinds = new Map<string, T[]>();
  for (const finding of [...findings.filter((one) => !isBeside(one)), ...findings.filter(isBeside)]) {
    const kind = [isBeside(finding), ...finding.repair.steps.map(({shape}) => keyName(shape))].join();
    const others = kinds.get(kind);
    if (others === undefined) kinds.set(kind, [finding]);
    else others.push(finding);
  }
  const settled = new Set<string>();
  let isOver = false;
  for (const kind of kinds.values()) {
    const some: T[] = [];
    for (const finding of kind) {
      const id = nameOf(finding.repair.id);
      if (settled.has(ownKey(finding.repair))) yield {finding, outcome: {id, state: 'done', result: null}};
      else if (isOver) yield {finding, outcome: {id, state: 'not_done', cause: undefined}};
      else some.push(finding);
    }
    const ids = some.map(({repair}) => repair.id);
    const left = some.values();
    for await (const outcomes of runBatch(redis, ids, repairChange(some, now), {journal, stop})) {
      for (const outcome of outcomes) {
        const {value: finding} = left.next();
        if (finding === undefined) continue;
        if (outcome.state === 'done') for (const key of keysBeside(finding.repair)) settled.add(key);
        yield {finding, outcome};
        isOver ||= outcome.state === 'not_done' || outcome.state === 'unknown';
      }
    }
  }
}

/** The key to repair and whether it holds a text. */
function ownKey({id, steps: [step]}: Repair): string {
  return `${step === undefined ? '' : keyName(step.shape)} ${typeof step?.expected === 'string' ? 'text' : 'other'} ${id}`;
}

/** The other keys that it repairs as well: only a text can be given a TTL. */
function keysBeside({id, steps: [, ...others]}: Repair): string[] {
  return others.flatMap(({shape, to}) => {
    if (to === 'stay') return [];
    const name = keyName(shape);
    return [`${name} text ${id}`, ...(to === 'delete' ? [`${name} other ${id}`] : [])];
  });
}

/** Repairs of the same keys, one for each session. */
function repairChange(findings: readonly {repair: Repair}[], now: Date): Change<null> {
  const repairs = new Map(findings.map(({repair}) => [repair.id, repair]));
  const shapes = (findings[0]?.repair.steps ?? []).map(({shape}) => shape);
  return {
    shapes,
    scripts: {change: REPAIR, decide: DECIDE_REPAIR},
    args: [String(VALUE_LIMIT)],
    own: (id) => Buffer.from(JSON.stringify(repairs.get(id)?.steps.map((step) => toPlan(step, now)) ?? []), 'latin1'),
    read: (id, word) => ({id: nameOf(id), state: word === 'done' ? 'done' : 'unchanged', result: null}),
    lookAt: shapes,
    preview: (id, values) => ({
      id: nameOf(id),
      state: 'done',
      now: values.map((held) => describeValue(inText(held))).join(' and '),
    }),
  };
}

function toPlan({expected, to}: RepairStep, now: Date): unknown[] {
  if (typeof to === 'string') return [expected, to];
  const left = to.end instanceof Date ? to.end.getTime() - now.getTime() : to.end;
  const ttl = left === 'never' ? 0 : Math.max(1, left);
  return [expected, 'write', to.text ?? null, ttl];
}

function describeValue(held: Held): string {
  if (typeof held === 'string') return quoteStart(held);
  return held ? WRONG_TYPE : 'none';
}
