import type {Held} from '../gateway/stored-value.js';
import {heldOf} from '../journal/describe.js';
import {type ChangedSession, type Journal, readJournal} from '../journal/entry.js';
import {COMPARE_AND_SET} from '../lua/scripts.js';
import {ErrorReply, NoReply, type Redis} from '../redis/contract.js';
import {isScriptRefusal} from '../redis/failures.js';
import {serverTime} from '../redis/server-time.js';
import {inGroups} from '../values/chunks.js';
import {TokengateError} from '../values/errors.js';
import {nameOf, type RawId, sessionNotFound} from '../values/session-id.js';
import {
  type Change,
  explainRefusal,
  MAX_TRIES,
  type PlannedChange,
  prepare,
  type Preview,
  readValues,
  type ScriptedChange,
  type Settled,
  toScript,
  type Values,
  type Write,
} from './change.js';

/** Sessions in one run of the script, which holds up the server for as long as it takes. */
const GROUP = 100;

/** After these the server may or may not have carried out what it was sent. */
const UNKNOWN_AFTER = new Set([
  'REDIS_CONNECTION_LOST',
  'REDIS_TIMEOUT',
  'REDIS_PROTOCOL',
  'REDIS_ERROR',
  'INTERRUPTED',
]);

export interface ChangeOptions {
  journal: Journal | undefined;
  /** A clause that completes "it is unknown whether …". */
  what: string;
}

/**
 * Changes a session, and gives the result.
 *
 * @throws TokengateError SESSION_NOT_FOUND, OUTCOME_UNKNOWN, JOURNAL_REFUSED, and with what the change refuses it
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
 * Changes one session, in one atomic step. When the connection ends before the answer nothing is repeated: it looks
 * once, on a fresh one, and says what was there before, as far as that is known, and what is there now.
 *
 * @throws TokengateError OUTCOME_UNKNOWN (INTERRUPTED stays INTERRUPTED), JOURNAL_REFUSED
 */
export async function changeOne<T>(
  redis: Redis,
  id: RawId,
  change: Change<T>,
  {journal, what}: ChangeOptions,
): Promise<Settled<T>> {
  // Read first: should the server never answer again, the journal that keeps it cannot be read.
  const [before] = await lookAt(redis, [id], change);
  const [outcome] = await sendChanges(redis, [id], change, journal);
  if (outcome instanceof NoReply) {
    const {error, isSent} = outcome;
    if (!isSent || !UNKNOWN_AFTER.has(error.code)) throw error;
    const [look = ''] = await lookAgain(redis, [id], change, journal, before && [before.now]);
    const code = error.code === 'INTERRUPTED' ? error.code : 'OUTCOME_UNKNOWN';
    const message = `${error.message} It is unknown whether ${what}.`;
    throw new TokengateError(code, message, {hint: look, cause: error});
  }
  if (outcome === undefined) throw new RangeError('a session has no outcome');
  return outcome;
}

/**
 * Changes sessions in one flight, each in one atomic step. Never rejects: for each session what became of it, or
 * `NoReply`.
 */
export async function sendChanges<T>(
  redis: Redis,
  ids: readonly RawId[],
  change: Change<T>,
  journal: Journal | undefined,
): Promise<(Settled<T> | NoReply)[]> {
  if (redis.cluster !== undefined) {
    const {changeOnCluster} = await import('./apply-on-cluster.js');
    return changeOnCluster(redis, ids, change, journal);
  }
  return 'scripts' in change ? sendScripted(redis, ids, change, journal) : sendPlanned(redis, ids, change, journal);
}

async function sendPlanned<T>(
  redis: Redis,
  ids: readonly RawId[],
  change: PlannedChange<T>,
  journal: Journal | undefined,
): Promise<(Settled<T> | NoReply)[]> {
  const outcomes = new Map<RawId, Settled<T> | NoReply>();
  let open = ids;
  for (let tries = 0; tries < MAX_TRIES && open.length > 0; tries++) {
    const writes = new Map<RawId, Write<T>>();
    for (const [id, outcome] of await planAll(redis, open, change)) {
      if (outcome instanceof NoReply || outcome.state !== 'write') outcomes.set(id, outcome);
      else writes.set(id, outcome);
    }
    open = [...writes.keys()];
    const scripted: ScriptedChange<T> = {
      ...change,
      scripts: {change: COMPARE_AND_SET},
      args: [],
      own: (id) => {
        const {expected, next} = writes.get(id) ?? {};
        return Buffer.from(JSON.stringify([expected, next]), 'latin1');
      },
      read(id, word) {
        const write = writes.get(id);
        return word === 'moved' || write === undefined
          ? undefined
          : {id: nameOf(id), state: 'done', result: write.result};
      },
    };
    const sent = await runScripts(redis, open, scripted, journal);
    open = open.filter((id, index) => {
      const outcome = sent[index];
      if (outcome !== undefined) outcomes.set(id, toSettled(redis, id, outcome, journal));
      return outcome === undefined;
    });
  }
  return ids.map((id): Settled<T> | NoReply => {
    const outcome = outcomes.get(id);
    if (outcome !== undefined) return outcome;
    const error = new TokengateError('CONTENDED', 'it keeps changing. Nothing was changed.');
    return {id: nameOf(id), state: 'failed', error};
  });
}

async function planAll<T>(
  redis: Redis,
  ids: readonly RawId[],
  change: PlannedChange<T>,
): Promise<[RawId, Settled<T> | Write<T> | NoReply][]> {
  try {
    const values = await readValues(redis, ids, change.shapes, change.lives);
    const trouble = await prepare(redis, change);
    return ids.map((id, index) => {
      const found = values[index];
      if (found === undefined) throw new RangeError('a session was not read');
      if (found instanceof TokengateError) return [id, {id: nameOf(id), state: 'failed', error: found}];
      return [id, trouble ?? change.plan(id, found.held, found.lives)];
    });
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    return ids.map((id) => [id, new NoReply(error)]);
  }
}

/**
 * A few sessions share a run of the script. For each the outcome, or the `ErrorReply` that refused it; undefined where the
 * script does not decide.
 */
async function runScripts<T>(
  redis: Redis,
  ids: readonly RawId[],
  change: ScriptedChange<T>,
  journal: Journal | undefined,
  size = GROUP,
): Promise<unknown[]> {
  const groups = inGroups(ids, size);
  const scripts = groups.map((group) => [toScript(group, change, journal)]);
  const answers = await redis.units(scripts);
  const width = 1 + change.shapes.length;
  const outcomes = groups.flatMap((group, index): unknown[] => {
    const answer = answers[index];
    if (!Array.isArray(answer)) return group.map(() => answer);
    const replies = JSON.parse(String(answer[0])) as (string | Held)[];
    return group.map((id, position) => {
      const at = position * width;
      return change.read(id, replies[at] as string, replies.slice(at + 1, at + width));
    });
  });
  // One session that this user may not touch must not keep those beside it from being changed.
  const beside = size === 1 ? [] : ids.filter((_, index) => isAboutKeys(outcomes[index]));
  if (beside.length < 2) return outcomes;
  const alone = (await runScripts(redis, beside, change, journal, 1)).values();
  return outcomes.map((outcome): unknown => (isAboutKeys(outcome) ? alone.next().value : outcome));
}

function isAboutKeys(outcome: unknown): boolean {
  return outcome instanceof ErrorReply && /^NOPERM.* key/is.test(outcome.message);
}

async function sendScripted<T>(
  redis: Redis,
  ids: readonly RawId[],
  change: ScriptedChange<T>,
  journal: Journal | undefined,
): Promise<(Settled<T> | NoReply)[]> {
  const outcomes = await runScripts(redis, ids, change, journal);
  if (outcomes.every((outcome) => outcome !== undefined && !(outcome instanceof ErrorReply))) {
    return outcomes as (Settled<T> | NoReply)[];
  }
  const {withoutScript, plan} = change;
  const settled = new Map<RawId, Settled<T> | NoReply>();
  const refused: RawId[] = [];
  const undecided: RawId[] = [];
  for (const [index, id] of ids.entries()) {
    const outcome = outcomes[index];
    const isRefused = outcome instanceof ErrorReply && isScriptRefusal(outcome);
    if (outcome === undefined) undecided.push(id);
    else if (isRefused && withoutScript !== undefined && journal === undefined) refused.push(id);
    else settled.set(id, toSettled(redis, id, outcome, journal));
  }
  if (withoutScript !== undefined && refused.length > 0) {
    const replies = await redis.units(refused.map(withoutScript.commands));
    for (const [index, id] of refused.entries()) {
      const reply = replies[index];
      const isDone = Array.isArray(reply);
      settled.set(id, isDone ? withoutScript.read(redis, id, reply) : toSettled(redis, id, reply, journal));
    }
  }
  if (plan !== undefined && undecided.length > 0) {
    const planned = await sendPlanned(redis, undecided, {...change, plan}, journal);
    for (const [index, id] of undecided.entries()) {
      const outcome = planned[index];
      if (outcome !== undefined) settled.set(id, outcome);
    }
  }
  return ids.flatMap((id) => settled.get(id) ?? []);
}

function toSettled<T>(redis: Redis, id: RawId, outcome: unknown, journal: Journal | undefined): Settled<T> | NoReply {
  if (!(outcome instanceof ErrorReply)) return outcome as Settled<T> | NoReply;
  return {id: nameOf(id), state: 'failed', error: explainRefusal(redis, outcome, journal)};
}

/** Reads what each is about, and what the change would do to it. */
export async function lookAt<T>(redis: Redis, ids: readonly RawId[], change: Change<T>): Promise<Preview[]> {
  const values = await readValues(redis, ids, change.lookAt, change.lives);
  return ids.map((id, index): Preview => {
    const found = values[index] ?? NOTHING;
    if (found instanceof TokengateError) return {id: nameOf(id), now: 'not readable', state: 'failed', error: found};
    return change.preview(id, found.held, found.lives);
  });
}

const NOTHING: Values = {held: [], lives: []};

/**
 * Looks once, on a fresh connection, at what has got no answer: for each what was there before, as far as that is known,
 * and what is there now, in sentences. What was there before is in the journal, where the change was done.
 */
export async function lookAgain<T>(
  redis: Redis,
  ids: readonly RawId[],
  change: Change<T>,
  journal: Journal | undefined,
  before?: readonly string[],
): Promise<string[]> {
  let fresh: Redis | undefined;
  const told = (index: number): string => (before === undefined ? '' : `Before: ${before[index] ?? ''}. `);
  try {
    fresh = await redis.reopen();
    const values = await readValues(fresh, ids, change.lookAt, change.lives);
    const unreadable = values.find((found) => found instanceof TokengateError);
    if (unreadable !== undefined) throw unreadable;
    // After the values: what is not in the journal now had not been done when they were read.
    const records = journal === undefined ? undefined : await findRecords(fresh, journal);
    return ids.map((id, index) => {
      const {held: now, lives} = values[index] as Values;
      const inWords = change.preview(id, now, lives).now;
      if (records === undefined) return `${told(index)}Now: ${inWords}.`;
      const record = records.get(id);
      if (redis.cluster !== undefined) {
        const change = `change ${journal?.change ?? ''}`;
        const entry = record?.isComplete ? `has it, as ${change}: it was done` : `has ${change} as begun`;
        return `${told(index)}Now: ${inWords}. The journal ${record === undefined ? 'has no such change' : entry}.`;
      }
      if (record === undefined) return `Before: ${inWords}. Now: ${inWords}. The journal has no such change.`;
      const old = change.lookAt.map((shape, position): Held => {
        const before = record.keys.find((key) => key.shape === shape)?.before;
        return before === undefined ? (now[position] ?? false) : heldOf(before);
      });
      return `Before: ${change.preview(id, old, []).now}. Now: ${inWords}. The journal has it, as change ${journal?.change ?? ''}: it was done.`;
    });
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    const later =
      journal === undefined ? '' : ` If it was done, the journal tells what was there: change ${journal.change}.`;
    return ids.map((_, index) => `${told(index)}A second look failed: ${error.message}${later}`);
  } finally {
    fresh?.close();
  }
}

/** How far back the entry of a change is looked for that has got no answer just now, in milliseconds. */
const RECENT_MS = 600_000;

async function findRecords(redis: Redis, {change}: Journal): Promise<Map<RawId, ChangedSession>> {
  const records = new Map<RawId, ChangedSession>();
  const since = new Date((await serverTime(redis)).getTime() - RECENT_MS);
  for await (const {parts} of readJournal(redis, since)) {
    const own = parts.filter((part) => part.change === change);
    for (const {records: some} of own) for (const record of some) records.set(record.id, record);
  }
  return records;
}
