import type {PlannedChange, Settled, Write} from './change-engine.js';
import {TokengateError} from './errors.js';
import {nameOf, type RawId} from './ids.js';
import {addOlder, type KeyRecord, type Old, type Part, readJournal, type Stored, type Value} from './journal.js';
import {describeHeld, describeKeys, heldOf, type HeldKey} from './key-words.js';
import {
  BUDGET_KEYS,
  FREEZE_REASON_KEYS,
  FROZEN_UNTIL_KEYS,
  JOURNAL_KEY,
  keyName,
  type KeyShape,
  SESSION_KEYS,
  SPENT_KEYS,
} from './keys.js';
import {parseStoredMoney, toPlainDigits} from './money.js';
import {ErrorReply, type Redis} from './redis.js';

/** A change as the journal tells it, with all that became of it. */
export interface RecordedChange extends Omit<Part, 'entry' | 'records'> {
  sessions: Map<RawId, {keys: KeyRecord[]; at: Date; isComplete: boolean}>;
  /** Changes of the same sessions since, newest first. */
  later: Map<RawId, {change: string; command: string; undoes: string | undefined}[]>;
  /** False when the journal begins after this change did: it has dropped its older entries. */
  isWhole: boolean;
}

export interface UndoOptions {
  now: Date;
  /** Puts back what was there, whatever stands there now. */
  force: boolean;
  /** Adds what was spent since a reset to what it removed, and replaces the gateway's default budget. */
  merge: boolean;
}

/** What was put back. */
export interface Undone {
  id: string;
  change: string;
  keys: HeldKey[];
}

/**
 * Finds changes in the journal, newest first.
 *
 * @param wanted IDs of changes, or whose last one is meant: the newest that is no undoing and was not undone
 * @throws TokengateError CHANGE_NOT_FOUND, JOURNAL_UNREADABLE
 */
export async function findChanges(
  redis: Redis,
  wanted: readonly string[] | {lastOf: string},
): Promise<RecordedChange[]> {
  const found = new Map<string, RecordedChange>();
  const undone = new Set<string>();
  const isLast = ({actor, undoes, change}: Part): boolean =>
    'lastOf' in wanted && found.size === 0 && actor === wanted.lastOf && undoes === undefined && !undone.has(change);
  const count = 'lastOf' in wanted ? 1 : new Set(wanted).size;
  let isOver = false;
  for await (const {parts} of readJournal(redis)) {
    for (const part of parts) {
      if (part.undoes !== undefined) undone.add(part.undoes);
      const isMeant = found.has(part.change) || ('lastOf' in wanted ? isLast(part) : wanted.includes(part.change));
      if (isMeant) addPart(found, part);
      isOver = found.size === count && [...found.values()].every(({began}) => began === undefined || part.at < began);
      if (isOver) break;
    }
    if (isOver) break;
  }
  if ('lastOf' in wanted && found.size === 0) {
    throw new TokengateError('CHANGE_NOT_FOUND', `The journal has no change by ${wanted.lastOf} that is not undone.`, {
      hint: 'See what was changed, and by whom, with: tokengate list-changes',
    });
  }
  const missing = 'lastOf' in wanted ? undefined : wanted.find((change) => !found.has(change));
  if (missing !== undefined) {
    throw new TokengateError('CHANGE_NOT_FOUND', `The journal has no change '${missing}'.`, {
      hint: 'See what was changed with: tokengate list-changes',
    });
  }
  const changes = [...found.values()];
  if (!isOver && (await isTrimmed(redis))) for (const change of changes) change.isWhole = change.began === undefined;
  await findLater(redis, changes);
  return changes;
}

/** The undoing of a change. A session of which something is no longer as the change left it is refused. */
export function undoing(redis: Redis, recorded: RecordedChange, options: UndoOptions): PlannedChange<Undone> {
  const changed = [...recorded.sessions.values()].flatMap(({keys}) => keys.filter(({after}) => after !== undefined));
  const shapes = SESSION_KEYS.filter((shape) => changed.some((key) => key.shape === shape));
  const plan = (id: RawId, old: readonly Old[]): Settled<Undone> | Write<Undone> =>
    planUndo(recorded, shapes, id, old, options);
  return {
    shapes,
    plan,
    lookAt: shapes,
    preview(id, values) {
      const refusal = values.find((value) => value instanceof ErrorReply && !value.message.includes('WRONGTYPE'));
      if (refusal instanceof ErrorReply) throw redis.explain(refusal);
      const old = values.map(toOld);
      const outcome = plan(id, old);
      const now = describeKeys(shapes.map((shape, index): HeldKey => ({shape, held: old[index] ?? false})));
      const facts = {id: nameOf(id), now};
      if (outcome.state === 'failed') return {...facts, state: 'failed', error: outcome.error};
      return {...facts, state: outcome.state === 'write' ? 'done' : outcome.state};
    },
  };
}

function planUndo(
  recorded: RecordedChange,
  shapes: readonly KeyShape[],
  id: RawId,
  old: readonly Old[],
  {now, force, merge}: UndoOptions,
): Settled<Undone> | Write<Undone> {
  const {keys, at, isComplete} = recorded.sessions.get(id) ?? {keys: [], at: now, isComplete: true};
  const name = nameOf(id);
  const later = recorded.later.get(id) ?? [];
  const result: Undone = {id: name, change: recorded.change, keys: []};
  if (isUndone(recorded.change, later)) return {id: name, state: 'unchanged', result};
  const write: Write<Undone> = {state: 'write', expected: shapes.map(() => null), next: shapes.map(() => null), result};
  const conflicts: string[] = [];
  for (const [index, shape] of shapes.entries()) {
    const key = keys.find((one) => one.shape === shape);
    if (key?.after === undefined) continue;
    const current = old[index] ?? false;
    const before = remaining(key.before, at, now);
    const merged = merge && key.after === false ? mergeWith(shape, before, current, later.length > 0) : undefined;
    const isAsLeft = current === toHeld(remaining(key.after, at, now));
    // What was announced, and not carried out.
    if (!isComplete && !isAsLeft && current === toHeld(before)) continue;
    if (!isAsLeft && merged === undefined && !force) {
      // A counter that the gateway has moved on is better than an old one.
      if (MONEY.includes(shape) || FREEZE.includes(shape)) conflicts.push(describeConflict(shape, key, current));
      continue;
    }
    write.expected[index] = current;
    write.next[index] = (isAsLeft ? undefined : merged) ?? before;
    result.keys.push({shape, held: toHeld(write.next[index] ?? false)});
  }
  if (conflicts.length > 0) {
    const by = later.length === 0 ? '' : ` It was changed since by ${later.map(describeLater).join(', ')}.`;
    const canMerge = !merge && keys.some(({shape, after}) => shape === SPENT_KEYS && after === false);
    const hint = `${canMerge ? '--merge adds what was spent since to what was removed. ' : ''}--force puts back what was there.`;
    const error = new TokengateError('CHANGED_SINCE', `${conflicts.join('; ')}.${by} ${hint}`);
    return {id: name, state: 'failed', error};
  }
  return write.next.every((next) => next === null) ? {id: name, state: 'unchanged', result} : write;
}

const MONEY: readonly KeyShape[] = [BUDGET_KEYS, SPENT_KEYS];
const FREEZE: readonly KeyShape[] = [FROZEN_UNTIL_KEYS, FREEZE_REASON_KEYS];

/** What a reset removed together with what came since; undefined when that can't be told. */
function mergeWith(shape: KeyShape, before: Stored, current: Old, isChangedByUs: boolean): Stored | undefined {
  if (shape === BUDGET_KEYS) return isChangedByUs || before === false ? undefined : before;
  if (shape !== SPENT_KEYS || typeof before !== 'string' || typeof current !== 'string') return undefined;
  const [old, since] = [parseStoredMoney(before), parseStoredMoney(current)];
  return old && since && toPlainDigits(old.plus(since));
}

function describeConflict(shape: KeyShape, {before, after}: KeyRecord, current: Old): string {
  const [was, left] = [before, after ?? false].map((value) => describeHeld(shape, heldOf(value)));
  const now = describeHeld(shape, current);
  return `its ${keyName(shape)} is ${now} now, not ${left ?? ''} as that change left it (it was ${was ?? ''} before)`;
}

function describeLater({change, command}: {change: string; command: string}): string {
  return `${command} (${change})`;
}

/** True when a later change undid it and was not undone itself. */
function isUndone(change: string, later: readonly {change: string; undoes: string | undefined}[]): boolean {
  return later.some((one) => one.undoes === change && !isUndone(one.change, later));
}

/** What is left of a value after its TTL has run on; nothing once that has passed. */
function remaining(value: Value, at: Date, now: Date): Stored {
  if (value === false) return false;
  const {kind, text, ttl} = value;
  const left = ttl < 0 ? ttl : ttl - (now.getTime() - at.getTime());
  if (ttl >= 0 && left <= 0) return false;
  if (kind === 'dump') return [text, left < 0 ? 0 : left, 'dump'];
  return left < 0 ? text : [text, left];
}

function toHeld(stored: Stored): Old {
  if (!Array.isArray(stored)) return stored;
  return stored[2] === 'dump' || stored[0];
}

/** A reply to GET as bytes. */
function toOld(reply: unknown): Old {
  if (reply === null || reply === undefined) return false;
  return typeof reply !== 'string' || Buffer.from(reply).toString('latin1');
}

function addPart(found: Map<string, RecordedChange>, {records, ...facts}: Part): void {
  const known = found.get(facts.change);
  const change: RecordedChange = known ?? {...facts, sessions: new Map(), later: new Map(), isWhole: true};
  found.set(facts.change, change);
  for (const {id, keys, isComplete} of records) {
    const newer = change.sessions.get(id);
    if (newer === undefined) {
      change.sessions.set(id, {keys: [...keys], at: facts.at, isComplete});
      continue;
    }
    newer.isComplete &&= isComplete;
    for (const key of keys) addOlder(newer.keys, key);
  }
}

/** Reads again what is newer, for what it says of the same sessions. */
async function findLater(redis: Redis, changes: readonly RecordedChange[]): Promise<void> {
  const times = changes.map(({at, began}) => (began ?? at).getTime());
  const met = new Map(changes.map(({change}) => [change, new Set<RawId>()]));
  for await (const {parts} of readJournal(redis, new Date(Math.min(...times)))) {
    for (const {change: other, command, undoes, records} of parts) {
      for (const {id} of records) {
        met.get(other)?.add(id);
        for (const {change, sessions, later} of changes) {
          if (!sessions.has(id) || met.get(change)?.has(id)) continue;
          later.set(id, [...(later.get(id) ?? []), {change: other, command, undoes}]);
        }
      }
    }
  }
}

/** True when Redis has dropped entries; not known before Redis 7. */
async function isTrimmed(redis: Redis): Promise<boolean> {
  const [info] = await redis.pipeline([['XINFO', 'STREAM', JOURNAL_KEY]]);
  const facts = Array.isArray(info) ? (info as unknown[]) : [];
  const valueOf = (name: string): unknown => facts[facts.indexOf(name) + 1];
  return facts.includes('entries-added') && valueOf('entries-added') !== valueOf('length');
}
