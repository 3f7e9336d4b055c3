import {
  BUDGET_KEYS,
  FREEZE_REASON_KEYS,
  FROZEN_UNTIL_KEYS,
  GRANTS_KEYS,
  keyOf,
  SPENT_KEYS,
  toRedisText,
} from '../../gateway/keys.js';
import {type Held, toHeld} from '../../gateway/stored-value.js';
import type {Stored} from '../../journal/entry.js';
import {COMPARE_AND_SET, COMPARE_AND_SET_KEY} from '../../lua/scripts.js';
import {slotOf} from '../../redis/cluster/slots.js';
import {type Command, ErrorReply, NoReply, orNoReply, type Redis} from '../../redis/contract.js';
import type {RawId} from '../../values/session-id.js';
import type {Settled} from '../change.js';
import {toScript} from '../script.js';
import type {Found} from './read.js';

/** The value to write to one key. */
export interface KeyWrite extends Found {
  /** The value that the key must still have; null when it does not matter. */
  expected: Held | null;
  next: Stored;
}

/** The change of one session, in one attempt. */
export interface Work<T> {
  id: RawId;
  found: readonly Found[];
  writes: readonly KeyWrite[];
  /** In this order. The keys of one step share a slot, and are written in one atomic step. */
  steps: readonly (readonly KeyWrite[])[];
  result: Settled<T>;
  /** The keys written so far. */
  done: KeyWrite[];
  /** Set when a step got no answer, but its keys hold what it writes: somebody else may have written them. */
  doubt: NoReply | undefined;
  end: 'open' | 'done' | 'moved' | ErrorReply | NoReply;
}

export function toWork<T>(
  id: RawId,
  found: readonly Found[],
  writes: readonly KeyWrite[],
  result: Settled<T>,
): Work<T> {
  return {id, found, writes, steps: toSteps(id, writes), result, done: [], doubt: undefined, end: 'open'};
}

function toSteps(id: RawId, writes: readonly KeyWrite[]): KeyWrite[][] {
  const bySlot = new Map<number, {rank: number; writes: KeyWrite[]}>();
  for (const write of writes) {
    const slot = slotOf(keyOf(write.shape, id));
    const step = bySlot.get(slot) ?? {rank: 0, writes: []};
    bySlot.set(slot, {rank: Math.max(step.rank, rankOf(write)), writes: [...step.writes, write]});
  }
  return [...bySlot.values()].sort((a, b) => a.rank - b.rank).map((step) => step.writes);
}

/**
 * The order in which an interruption does least harm: a session is frozen without a reason rather than not frozen,
 * spending stays without a budget rather than disappears while there is one, and a grant stays rather than what it added.
 */
function rankOf({shape, next}: KeyWrite): number {
  const isRemoved = next === false;
  if (shape === SPENT_KEYS) return isRemoved ? 9 : 0;
  if (shape === FREEZE_REASON_KEYS) return isRemoved ? 8 : 2;
  if (shape === FROZEN_UNTIL_KEYS) return isRemoved ? 7 : 1;
  if (shape === GRANTS_KEYS) return isRemoved ? 6 : 4;
  return shape === BUDGET_KEYS ? 5 : 4;
}

/** Takes the steps of all sessions: all first steps in one flight, then all second ones. Never rejects. */
export async function takeSteps<T>(redis: Redis, works: readonly Work<T>[]): Promise<void> {
  const count = Math.max(0, ...works.map(({steps}) => steps.length));
  for (let number = 0; number < count; number++) {
    const some = works.filter(({end, steps}) => end === 'open' && steps.length > number);
    const answers = await redis.units(some.map(({id, steps}) => [toCommand(id, steps[number] ?? [])]));
    for (const [index, work] of some.entries()) {
      const answer = answers[index];
      if (!Array.isArray(answer)) {
        work.end = answer ?? 'moved';
        continue;
      }
      const [words] = answer.flat() as [string];
      const [word] = JSON.parse(words) as [string];
      if (word === 'done') work.done.push(...(work.steps[number] ?? []));
      else work.end = 'moved';
    }
    await lookAfterLoss(redis, some, number);
  }
  for (const work of works) if (work.end === 'open') work.end = 'done';
}

function toCommand(id: RawId, writes: readonly KeyWrite[]): Command {
  const shapes = writes.map(({shape}) => shape);
  const [key, ...others] = shapes;
  const json = JSON.stringify([...writes.map(({expected}) => expected), ...writes.map(({next}) => next)]);
  const plan = toRedisText(json);
  if (key !== undefined && others.length === 0) return ['EVAL', COMPARE_AND_SET_KEY, '1', keyOf(key, id), plan];
  return toScript([id], {shapes, scripts: {change: COMPARE_AND_SET}, args: [plan]}, undefined);
}

/**
 * Looks at the keys of a step without an answer, on the node that has taken over. If the step was taken, the next one
 * follows, so that no session stays halfway; who took it remains unknown. If not, it is tried again, which cannot take
 * it twice. Never rejects.
 */
async function lookAfterLoss<T>(redis: Redis, works: readonly Work<T>[], number: number): Promise<void> {
  // A timeout leaves no time for that.
  const lost = works.filter(
    ({end}) => end instanceof NoReply && end.isSent && end.error.code === 'REDIS_CONNECTION_LOST',
  );
  if (lost.length === 0) return;
  const stepOf = ({steps}: Work<T>): readonly KeyWrite[] => steps[number] ?? [];
  const commands = lost.flatMap((work) => stepOf(work).map(({shape}): Command => ['GET', keyOf(shape, work.id)]));
  const answers = await orNoReply(redis.pipelineBytes(commands));
  if (answers instanceof NoReply) return;
  const replies = answers.values();
  for (const work of lost) {
    const step = stepOf(work);
    const now = step.map(() => {
      const reply: unknown = replies.next().value;
      return reply instanceof ErrorReply || toHeld(redis, reply);
    });
    const isAsBefore = step.every(({old}, index) => now[index] === old);
    const isAsWanted = step.every(({next}, index) => now[index] === (Array.isArray(next) ? next[0] : next));
    if (isAsBefore && !isAsWanted) work.end = 'moved';
    if (!isAsWanted || !(work.end instanceof NoReply)) continue;
    work.doubt = work.end;
    work.done.push(...step);
    work.end = 'open';
  }
}
