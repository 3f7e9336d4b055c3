import {keysOf} from '../gateway/keys.js';
import {type Held, toHeld} from '../gateway/stored-value.js';
import {heldOf} from '../journal/describe.js';
import {type ChangedSession, type Journal, readJournal} from '../journal/entry.js';
import {type Command, ErrorReply, NoReply, type Redis} from '../redis/contract.js';
import {isScriptRefusal} from '../redis/failures.js';
import {serverTime} from '../redis/server-time.js';
import {inGroups} from '../values/chunks.js';
import {TokengateError} from '../values/errors.js';
import {nameOf, type RawId, sessionNotFound} from '../values/session-id.js';
import {
  type Change,
  COMPARE_AND_SET,
  explainRefusal,
  MAX_TRIES,
  type PlannedChange,
  prepare,
  type Preview,
  readOld,
  type ScriptedChange,
  type Settled,
  toScript,
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
  return 'plan' in change ? sendPlanned(redis, ids, change, journal) : sendScripted(redis, ids, change, journal);
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
    const olds = (await readOld(redis, open, change.shapes)).values();
    const trouble = await prepare(redis, change);
    const writes = new Map<RawId, Write<T>>();
    for (const id of open) {
      const old = olds.next().value;
      if (old === undefined) continue;
      const outcome = 'state' in old || old instanceof NoReply ? old : (trouble ?? change.plan(id, old));
      if (outcome instanceof NoReply || outcome.state !== 'write') outcomes.set(id, outcome);
      else writes.set(id, outcome);
    }
    open = [...writes.keys()];
    const scripted: ScriptedChange<T | undefined> = {
      ...change,
      script: COMPARE_AND_SET,
      args: [],
      own: (id) => {
        const {expected, next} = writes.get(id) ?? {};
        return Buffer.from(JSON.stringify([expected, next]), 'latin1');
      },
      read: (id, word) => ({
        id: nameOf(id),
        state: 'done',
        result: word === 'moved' ? undefined : writes.get(id)?.result,
      }),
    };
    const sent = await sendScripted(redis, open, scripted, journal);
    open = open.filter((id, index) => {
      const outcome = sent[index];
      const isMoved = outcome === undefined || ('result' in outcome && outcome.result === undefined);
      if (!isMoved) outcomes.set(id, outcome as Settled<T> | NoReply);
      return isMoved;
    });
  }
  return ids.map((id): Settled<T> | NoReply => {
    const outcome = outcomes.get(id);
    if (outcome !== undefined) return outcome;
    const error = new TokengateError('CONTENDED', 'it keeps changing. Nothing was changed.');
    return {id: nameOf(id), state: 'failed', error};
  });
}

/** A few sessions share a run of the script. For each the outcome, or the `ErrorReply` that refused it. */
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
  const isRefused = (outcome: unknown): boolean => outcome instanceof ErrorReply && isScriptRefusal(outcome);
  const {withoutScript} = change;
  const refused = ids.filter((_, index) => isRefused(outcomes[index]));
  const canDoWithout = withoutScript !== undefined && journal === undefined && refused.length > 0;
  const others = (canDoWithout ? await redis.units(refused.map(withoutScript.commands)) : []).values();
  return ids.map((id, index): Settled<T> | NoReply => {
    let outcome: unknown = outcomes[index];
    if (canDoWithout && isRefused(outcome)) {
      outcome = others.next().value;
      if (Array.isArray(outcome)) return withoutScript.read(redis, id, outcome);
    }
    if (!(outcome instanceof ErrorReply)) return outcome as Settled<T> | NoReply;
    return {id: nameOf(id), state: 'failed', error: explainRefusal(redis, outcome, journal)};
  });
}

/** Reads what each is about, and what the change would do to it. */
export async function lookAt<T>(redis: Redis, ids: readonly RawId[], change: Change<T>): Promise<Preview[]> {
  const values = await readValues(redis, ids, change);
  return ids.map((id, index): Preview => {
    try {
      const {held, lives} = toValues(redis, values[index] ?? [], change);
      return change.preview(id, held, lives);
    } catch (error) {
      // What this user may not read is no reason to say nothing of the others.
      if (!(error instanceof TokengateError)) throw error;
      return {id: nameOf(id), now: 'not readable', state: 'failed', error};
    }
  });
}

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
    const replies = await readValues(fresh, ids, change);
    const values = replies.map((some) => toValues(redis, some, change));
    // After the values: what is not in the journal now had not been done when they were read.
    const records = journal === undefined ? undefined : await findRecords(fresh, journal);
    return ids.map((id, index) => {
      const {held: now, lives} = values[index] ?? NOTHING;
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

async function readValues<T>(redis: Redis, ids: readonly RawId[], change: Change<T>): Promise<unknown[][]> {
  const {lookAt, lives = []} = change;
  const commands = ids.flatMap((id) => [
    ...keysOf(lookAt, [id]).map((key): Command => ['GET', key]),
    ...keysOf(lives, [id]).map((key): Command => ['PTTL', key]),
  ]);
  return inGroups(await redis.pipelineBytes(commands), lookAt.length + lives.length);
}

interface Values {
  held: Held[];
  lives: number[];
}

const NOTHING: Values = {held: [], lives: []};

/** @throws TokengateError for what this user may not read */
function toValues<T>(redis: Redis, replies: readonly unknown[], {lookAt}: Change<T>): Values {
  return {
    held: replies.slice(0, lookAt.length).map((reply) => toHeld(redis, reply)),
    lives: replies.slice(lookAt.length).map(Number),
  };
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
