import {keyOf, type KeyShape} from '../gateway/keys.js';
import type {Journal} from '../journal/entry.js';
import {ErrorReply, NoReply, orNoReply, type Redis} from '../redis/contract.js';
import {isScriptRefusal} from '../redis/failures.js';
import {TokengateError} from '../values/errors.js';
import {nameOf, type RawId, sessionNotFound} from '../values/session-id.js';
import type {Answer, Change, PlannedChange, ScriptedChange, Settled, Write} from './change.js';
import {compareAndSet} from './compare-and-set.js';
import {lookAt, readValues} from './look.js';
import {planAll, untilSettled} from './plan.js';
import {explainRefusal, refuseByStore} from './refusal.js';
import {runScripts, type ScriptAnswer} from './script.js';
import {lookAgain} from './second-look.js';

/** After these errors the server may or may not have carried out what it was sent. */
const UNKNOWN_AFTER = new Set([
  'REDIS_CONNECTION_LOST',
  'REDIS_TIMEOUT',
  'REDIS_PROTOCOL',
  'REDIS_ERROR',
  'INTERRUPTED',
]);

export interface ChangeOptions {
  journal: Journal | undefined;
  /** Completes the sentence "it is unknown whether …". */
  what: string;
}

/**
 * Changes a session and returns the result.
 *
 * @throws TokengateError SESSION_NOT_FOUND, OUTCOME_UNKNOWN, JOURNAL_REFUSED, and the change's own refusals
 */
export async function changeKnown<T>(redis: Redis, id: RawId, change: Change<T>, options: ChangeOptions): Promise<T> {
  const outcome = await changeOne(redis, id, change, options);
  if ('result' in outcome) return outcome.result;
  if (outcome.state === 'not_found') throw sessionNotFound(id);
  const {code, message, hint, cause} = outcome.error;
  const isOfSession = !(cause instanceof ErrorReply);
  throw new TokengateError(code, isOfSession ? `Session '${nameOf(id)}': ${message}` : message, {hint, cause});
}

/**
 * Changes one session in one atomic step. If the connection ends before the answer, nothing is sent again. It looks
 * once, on a fresh connection, and reports the values before, as far as they are known, and the values now.
 *
 * @throws TokengateError OUTCOME_UNKNOWN (INTERRUPTED stays INTERRUPTED), JOURNAL_REFUSED
 */
export async function changeOne<T>(
  redis: Redis,
  id: RawId,
  change: Change<T>,
  {journal, what}: ChangeOptions,
): Promise<Settled<T>> {
  // Read first: if the server never answers again, the journal that keeps these values cannot be read either.
  const [before] = await lookAt(redis, [id], change);
  const [answer] = await sendChanges(redis, [id], change, journal);
  if (answer instanceof NoReply) {
    const {error, isSent} = answer;
    if (!isSent || !UNKNOWN_AFTER.has(error.code)) throw error;
    const [look = ''] = await lookAgain(redis, [id], change, journal, before && [before.now]);
    const code = error.code === 'INTERRUPTED' ? error.code : 'OUTCOME_UNKNOWN';
    const message = `${error.message} It is unknown whether ${what}.`;
    throw new TokengateError(code, message, {hint: look, cause: error});
  }
  if (answer === undefined) throw new RangeError('a session has no answer');
  return answer;
}

/** Changes sessions in one flight, each in one atomic step. Never rejects. */
export async function sendChanges<T>(
  redis: Redis,
  ids: readonly RawId[],
  change: Change<T>,
  journal: Journal | undefined,
): Promise<Answer<T>[]> {
  if (redis.cluster !== undefined) {
    const {changeOnCluster} = await import('./cluster/apply.js');
    const shapes = await permittedShapes(redis, ids, change);
    return changeOnCluster(redis, ids, {...change, shapes}, journal);
  }
  return 'scripts' in change ? sendScripted(redis, ids, change, journal) : sendPlanned(redis, ids, change, journal);
}

function sendPlanned<T>(
  redis: Redis,
  ids: readonly RawId[],
  change: PlannedChange<T>,
  journal: Journal | undefined,
): Promise<Answer<T>[]> {
  const attempt = async (open: readonly RawId[]): Promise<Map<RawId, Answer<T>>> => {
    const values = await orNoReply(readValues(redis, open, change.shapes, change.lives));
    if (values instanceof NoReply) return new Map(open.map((id) => [id, values]));
    const answers = new Map<RawId, Answer<T>>();
    const writes = new Map<RawId, Write<T>>();
    for (const [id, plan] of await planAll(redis, change, open, values)) {
      if (plan instanceof NoReply || plan.state !== 'write') answers.set(id, plan);
      else writes.set(id, plan);
    }
    const ids = [...writes.keys()];
    for (const [index, answer] of (await runScripts(redis, ids, compareAndSet(change, writes), journal)).entries()) {
      const id = ids[index];
      if (id !== undefined && answer !== undefined) answers.set(id, explain(redis, id, answer, journal));
    }
    return answers;
  };
  return untilSettled(ids, attempt, (id) => {
    const error = new TokengateError('CONTENDED', 'it keeps changing. Nothing was changed.');
    return {id: nameOf(id), state: 'failed', error};
  });
}

async function sendScripted<T>(
  redis: Redis,
  ids: readonly RawId[],
  change: ScriptedChange<T>,
  journal: Journal | undefined,
): Promise<Answer<T>[]> {
  const {withoutScript, plan} = change;
  const answers = new Map<RawId, Answer<T>>();
  const refused: RawId[] = [];
  const undecided: RawId[] = [];
  const sent = await runScripts(redis, ids, change, journal);
  if (sent.every(isAnswer)) return sent;
  for (const [index, answer] of sent.entries()) {
    const id = ids[index];
    if (id === undefined) continue;
    const isRefused = answer instanceof ErrorReply && isScriptRefusal(answer);
    if (answer === undefined) undecided.push(id);
    else if (isRefused && withoutScript !== undefined && journal === undefined) refused.push(id);
    else answers.set(id, explain(redis, id, answer, journal));
  }
  if (withoutScript !== undefined && refused.length > 0) {
    const refusal = await refuseByStore(redis);
    const shapes = await permittedShapes(redis, refused, change);
    const replies =
      refusal === undefined
        ? await redis.units(refused.map((id) => withoutScript.commands(id, shapes)))
        : refused.map(() => refusal);
    for (const [index, id] of refused.entries()) {
      const reply = replies[index];
      if (Array.isArray(reply)) answers.set(id, withoutScript.read(redis, id, reply));
      else if (reply !== undefined) answers.set(id, explain(redis, id, reply, journal));
    }
  }
  if (plan !== undefined && undecided.length > 0) {
    const planned = await sendPlanned(redis, undecided, {...change, plan}, journal);
    for (const [index, id] of undecided.entries()) {
      const answer = planned[index];
      if (answer !== undefined) answers.set(id, answer);
    }
  }
  return ids.flatMap((id) => answers.get(id) ?? []);
}

/** All but a rare key that this user may not read. */
async function permittedShapes<T>(
  redis: Redis,
  [id]: readonly RawId[],
  change: Change<T>,
): Promise<readonly KeyShape[]> {
  const {shapes} = change;
  if (id === undefined || !('rare' in change)) return shapes;
  const replies = await orNoReply(redis.pipeline([['EXISTS', keyOf(change.rare, id)]]));
  return Array.isArray(replies) && replies[0] instanceof ErrorReply ? shapes.slice(0, -1) : shapes;
}

function isAnswer<T>(answer: ScriptAnswer<T>): answer is Answer<T> {
  return answer !== undefined && !(answer instanceof ErrorReply);
}

function explain<T>(redis: Redis, id: RawId, answer: Answer<T> | ErrorReply, journal: Journal | undefined): Answer<T> {
  if (!(answer instanceof ErrorReply)) return answer;
  return {id: nameOf(id), state: 'failed', error: explainRefusal(redis, answer, journal)};
}
