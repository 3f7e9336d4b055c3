import type {KeyShape} from '../../gateway/keys.js';
import type {Journal} from '../../journal/entry.js';
import {ErrorReply, NoReply, type Redis} from '../../redis/contract.js';
import {nameOf, type RawId} from '../../values/session-id.js';
import type {Answer, Change} from '../change.js';
import {untilSettled} from '../plan.js';
import {refuseByStore} from '../refusal.js';
import {decideAll} from './decide.js';
import {type Found, readFound} from './read.js';
import {announce, conclude} from './record.js';
import {explainOnCluster, incomplete} from './refusal.js';
import {takeSteps, toWork, type Work} from './steps.js';

/** What earlier attempts have done to a session. */
interface Progress {
  /** The values of its keys before they were changed. */
  changed: Map<KeyShape, Found>;
  doubt: NoReply | undefined;
}

/**
 * Changes sessions whose keys are on several nodes, which no script can change in one step:
 * 1. read the keys;
 * 2. let the same Lua as on one server decide;
 * 3. announce the change in the journal;
 * 4. write key after key where it still holds what was read, in an order in which no interruption gives money away;
 * 5. record in the journal what was done.
 *
 * A session that has changed meanwhile is read and decided on again. Keys that share a slot, such as those of an ID
 * with a hash tag, are written in one atomic step. Never rejects.
 */
export function changeOnCluster<T>(
  redis: Redis,
  ids: readonly RawId[],
  change: Change<T>,
  journal: Journal | undefined,
): Promise<Answer<T>[]> {
  const progress = new Map<RawId, Progress>();
  const progressOf = (id: RawId): Progress => {
    const known = progress.get(id) ?? {changed: new Map<KeyShape, Found>(), doubt: undefined};
    progress.set(id, known);
    return known;
  };
  /**
   * The time of the first entry, which later entries repeat: a change may take several entries, and an undo that reads
   * the journal backwards must not stop at the last one.
   */
  let began = journal?.began;
  const carryOut = async (works: readonly Work<T>[]): Promise<void> => {
    const announced = journal && (await announce(redis, works, change.shapes, {...journal, began}));
    const [first] = announced ?? [];
    if (first !== undefined) began ??= new Date(Number.parseInt(first.entry));
    await takeSteps(redis, works);
    if (journal !== undefined && announced !== undefined) await conclude(redis, announced, journal);
  };
  const toAnswer = (id: RawId, end: Answer<T> | ErrorReply): Answer<T> => {
    const {changed} = progressOf(id);
    if (end instanceof NoReply) return new NoReply(end.error, end.isSent || changed.size > 0);
    if (!(end instanceof ErrorReply)) return end;
    const error = explainOnCluster(redis, end, journal);
    const isUntouched = changed.size === 0;
    return {
      id: nameOf(id),
      state: 'failed',
      error: isUntouched ? error : incomplete('CHANGE_INCOMPLETE', error.message, changed.values()),
    };
  };
  const attempt = async (open: readonly RawId[]): Promise<Map<RawId, Answer<T>>> => {
    const ends = new Map<RawId, Answer<T> | ErrorReply>();
    const ready = new Map<RawId, Found[]>();
    // In one flight. Everything that has begun is completed.
    const [readings, refusal] = await Promise.all([
      readFound(redis, open, change.shapes),
      progress.size === 0 ? refuseByStore(redis) : undefined,
    ]);
    if (refusal !== undefined) return new Map(open.map((id) => [id, toAnswer(id, refusal)]));
    for (const [id, found] of readings) {
      // Decided on as before: what was done already stays done.
      if (Array.isArray(found))
        ready.set(
          id,
          found.map((one) => progressOf(id).changed.get(one.shape) ?? one),
        );
      else ends.set(id, found);
    }
    const works: Work<T>[] = [];
    for (const [id, decision] of await decideAll(redis, ready, change)) {
      if (!('writes' in decision)) {
        ends.set(id, decision);
        continue;
      }
      const writes = decision.writes.filter(({shape}) => !progressOf(id).changed.has(shape));
      if (writes.length === 0) ends.set(id, progressOf(id).doubt ?? decision.result);
      else works.push(toWork(id, ready.get(id) ?? [], writes, decision.result));
    }
    await carryOut(works);
    for (const {id, done, doubt, end, result} of works) {
      const known = progressOf(id);
      for (const write of done) known.changed.set(write.shape, write);
      known.doubt = doubt ?? known.doubt;
      if (end === 'done') ends.set(id, known.doubt ?? result);
      else if (typeof end === 'object') ends.set(id, end);
    }
    return new Map([...ends].map(([id, end]) => [id, toAnswer(id, end)]));
  };
  return untilSettled(ids, attempt, (id) => {
    const error = incomplete('CONTENDED', 'it keeps changing.', progressOf(id).changed.values());
    return {id: nameOf(id), state: 'failed', error};
  });
}
