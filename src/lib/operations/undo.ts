import type {PlannedChange, Settled, Write} from '../change/change.js';
import {lookAt} from '../change/look.js';
import {
  BUDGET_KEYS,
  CHANGED_KEYS,
  FREEZE_REASON_KEYS,
  FROZEN_UNTIL_KEYS,
  GRANTS_KEYS,
  JOURNAL_KEY,
  keyName,
  type KeyShape,
  PERIOD_KEYS,
  SPENT_KEYS,
} from '../gateway/keys.js';
import {textOf, toStoredAmount} from '../gateway/stored-amount.js';
import type {Held} from '../gateway/stored-value.js';
import {describeHeld, describeKeys, type HeldKey} from '../journal/describe.js';
import {
  addOlder,
  type ChangePart,
  heldOf,
  inText,
  type KeyRecord,
  readJournal,
  type Stored,
  type Value,
} from '../journal/entry.js';
import {type LaterChange, undoneBy, Undoings} from '../journal/undone-by.js';
import type {Redis} from '../redis/contract.js';
import {inGroups} from '../values/chunks.js';
import {TokengateError} from '../values/errors.js';
import {parseStoredMoney, toPlainDigits} from '../values/money.js';
import {nameOf, type RawId} from '../values/session-id.js';
import {parseGatewayTime} from '../values/time.js';
import {type Left, leftOfBudget, leftOfSpent, LOOKS, type SecondLook} from './lasting.js';

/** A change as the journal records it, with its outcome. */
export interface RecordedChange extends Omit<ChangePart, 'entry' | 'records'> {
  sessions: Map<RawId, {keys: KeyRecord[]; at: Date; isComplete: boolean}>;
  /** Later changes of the same sessions, newest first. */
  later: Map<RawId, LaterChange[]>;
  /** The newest journal entry that `later` includes. */
  newest: string | undefined;
  /** False when the journal begins after this change began: its older entries are dropped. */
  isWhole: boolean;
}

export interface UndoOptions {
  now: Date;
  /** Puts back the old values, whatever is there now. */
  force: boolean;
  /** Adds what was spent since a reset to what it removed, and replaces the gateway's default budget. */
  merge: boolean;
  /** The ID under which the journal records the undo. */
  as?: string | undefined;
}

/** The values that were put back. */
export interface Undone {
  id: string;
  change: string;
  keys: HeldKey[];
  left: Left[];
}

/**
 * Finds changes in the journal, newest first.
 *
 * @throws TokengateError CHANGE_NOT_FOUND, JOURNAL_UNREADABLE
 */
export async function findChanges(redis: Redis, wanted: readonly string[]): Promise<RecordedChange[]> {
  const found = new Map<string, RecordedChange>();
  const count = new Set(wanted).size;
  let isOver = false;
  for await (const {parts} of readJournal(redis)) {
    for (const part of parts) {
      if (wanted.includes(part.change)) addPart(found, part);
      isOver = found.size === count && [...found.values()].every(({began}) => began === undefined || part.at < began);
      if (isOver) break;
    }
    if (isOver) break;
  }
  const missing = wanted.find((change) => !found.has(change));
  if (missing !== undefined) {
    throw new TokengateError('CHANGE_NOT_FOUND', `The journal has no change '${missing}'.`, {
      hint: 'See what was changed with: tokengate list-changes',
    });
  }
  const changes = [...found.values()];
  if (!isOver && (await isTrimmed(redis))) for (const change of changes) change.isWhole = change.began === undefined;
  await readLater(redis, changes);
  return changes;
}

/**
 * Finds somebody's newest change that is not an undo, and of which something is left to undo.
 *
 * @returns that change, and the newer ones of which nothing is left to undo although nobody has undone them, such as a
 *   freeze that is over
 * @throws TokengateError CHANGE_NOT_FOUND, JOURNAL_UNREADABLE
 */
export async function findLast(
  redis: Redis,
  actor: string,
  now: Date,
): Promise<{change: RecordedChange; passed: RecordedChange[]}> {
  const undoings = new Undoings();
  const passed: RecordedChange[] = [];
  for await (const {parts} of readJournal(redis)) {
    for (const part of parts) {
      undoings.add(part);
      if (part.undoes !== undefined || part.actor !== actor) continue;
      if (passed.some(({change}) => change === part.change)) continue;
      if (part.records.every(({id}) => undoings.of(part.change, id) !== undefined)) continue;
      const [change] = await findChanges(redis, [part.change]);
      if (change === undefined) continue;
      if (await isLeft(redis, change, now)) return {change, passed};
      passed.push(change);
    }
  }
  const which = passed.length === 0 ? 'that is not undone' : 'of which anything is left to undo';
  throw new TokengateError('CHANGE_NOT_FOUND', `The journal has no change by ${actor} ${which}.`, {
    hint: 'See what was changed, and by whom, with: tokengate list-changes',
  });
}

/** Sessions to look at in one flight. */
const PAGE = 500;

/** True if the undo would change a session, or refuse to. */
async function isLeft(redis: Redis, change: RecordedChange, now: Date): Promise<boolean> {
  const undo = undoChange(change, {now, force: false, merge: false});
  for (const ids of inGroups([...change.sessions.keys()], PAGE)) {
    const previews = await lookAt(redis, ids, undo);
    if (previews.some(({state}) => state !== 'unchanged')) return true;
  }
  return false;
}

/**
 * The undo of a change. It refuses a session that is no longer as the change left it: somebody's later change would be
 * lost.
 *
 * @param previewed values that the preview of earlier undos has already put back, key by key
 */
export function undoChange(
  recorded: RecordedChange,
  options: UndoOptions,
  previewed = new Map<string, Held>(),
): PlannedChange<Undone> {
  const changed = [...recorded.sessions.values()].flatMap(({keys}) => keys.filter(({after}) => after !== undefined));
  const shapes = CHANGED_KEYS.filter((shape) => changed.some((key) => key.shape === shape));
  const plan = (id: RawId, old: readonly Held[]): Settled<Undone> | Write<Undone> =>
    planUndo(recorded, shapes, id, old, options);
  let prepared = Promise.resolve();
  return {
    shapes,
    plan,
    // Somebody else may undo it meanwhile: then the same spending would be added twice.
    prepare: (redis) => (prepared = prepared.then(() => readLater(redis, [recorded], options.as))),
    lookAt: shapes,
    preview(id, old) {
      const names = shapes.map((shape) => `${keyName(shape)} ${id}`);
      const outcome = plan(
        id,
        old.map((value, index) => previewed.get(names[index] ?? '') ?? value),
      );
      const now = describeKeys(shapes.map((shape, index): HeldKey => ({shape, held: old[index] ?? false})));
      const facts = {id: nameOf(id), now};
      if (outcome.state === 'failed') return {...facts, state: 'failed', error: outcome.error};
      if (outcome.state !== 'write') return {...facts, state: outcome.state};
      for (const [index, next] of outcome.next.entries()) {
        if (next !== null) previewed.set(names[index] ?? '', heldAfter(next));
      }
      return {...facts, then: describeKeys(outcome.result.keys), state: 'done'};
    },
  };
}

function planUndo(
  recorded: RecordedChange,
  shapes: readonly KeyShape[],
  id: RawId,
  old: readonly Held[],
  options: UndoOptions,
): Settled<Undone> | Write<Undone> {
  const {now, force, merge} = options;
  const {keys, at, isComplete} = recorded.sessions.get(id) ?? {keys: [], at: now, isComplete: true};
  const name = nameOf(id);
  const later = recorded.later.get(id) ?? [];
  const result: Undone = {id: name, change: recorded.change, keys: [], left: []};
  if (undoneBy(recorded.change, later) !== undefined) return {id: name, state: 'unchanged', result};
  const write: Write<Undone> = {state: 'write', expected: shapes.map(() => null), next: shapes.map(() => null), result};
  const conflicts: string[] = [];
  const isOver = hasEnded(keys, now);
  for (const [index, shape] of shapes.entries()) {
    const key = keys.find((one) => one.shape === shape);
    if (key?.after === undefined) continue;
    const current = old[index] ?? false;
    const before = isOver && FREEZE.includes(shape) ? false : remaining(key.before, at, now);
    const left = heldAfter(remaining(key.after, at, now));
    const merged = merge ? mergeWith(shape, {before, left, current}, later.length > 0) : undefined;
    const isAsLeft = current === left;
    // Announced, but not carried out.
    if (!isComplete && !isAsLeft && current === heldAfter(before)) continue;
    if (!isAsLeft && merged === undefined && !force) {
      // A counter that the gateway has moved on is better than an old one.
      if ([...MONEY, ...FREEZE, ...PERIOD].includes(shape)) conflicts.push(describeConflict(shape, key, current));
      continue;
    }
    const next = (isAsLeft ? undefined : merged) ?? before;
    if (current === false && next === false) continue;
    write.expected[index] = current;
    write.next[index] = next;
    result.keys.push({shape, held: heldAfter(next)});
  }
  if (conflicts.length > 0) {
    const by = later.length === 0 ? '' : ` It was changed since by ${later.map(describeLater).join(', ')}.`;
    const canMerge = !merge && planUndo(recorded, shapes, id, old, {...options, merge: true}).state === 'write';
    const hint = `${canMerge ? '--merge adds what was spent since to what was removed. ' : ''}--force puts back what was there.`;
    const error = new TokengateError('CHANGED_SINCE', `${conflicts.join('; ')}.${by} ${hint}`);
    return {id: name, state: 'failed', error};
  }
  if (write.next.every((next) => next === null)) return {id: name, state: 'unchanged', result};
  result.left = leftBy(id, (shape) => {
    const index = shapes.indexOf(shape);
    const before = old[index] ?? false;
    const next = write.next[index] ?? null;
    return {before, after: next === null ? before : heldAfter(next)};
  });
  return write;
}

/** What an undo left that a request under way can undo. */
function leftBy(id: RawId, replaced: (shape: KeyShape) => {before: Held; after: Held}): Left[] {
  const amounts = (shape: KeyShape) => {
    const {before, after} = replaced(shape);
    return {before: toStoredAmount(inText(before)), after: toStoredAmount(inText(after))};
  };
  const [budget, freeze] = [amounts(BUDGET_KEYS), replaced(FROZEN_UNTIL_KEYS)];
  const left = [...leftOfSpent(id, amounts(SPENT_KEYS), textOf(budget.before)), ...leftOfBudget(id, budget)];
  if (freeze.before === freeze.after) return left;
  const facts = {id: nameOf(id), key: id};
  if (freeze.after === false) return [...left, {...facts, kind: 'unfrozen'}];
  const end = typeof freeze.after === 'string' ? parseGatewayTime(freeze.after) : undefined;
  if (end?.kind !== 'time') return left;
  return [...left, {...facts, kind: 'freeze', until: end.at, wasOver: freeze.before !== false}];
}

/** Looks whether a request under way has undone it. */
export const undoLook: SecondLook<Undone> = {afterMs: LOOKS, leftBy: ({left}) => left};

const MONEY: readonly KeyShape[] = [BUDGET_KEYS, SPENT_KEYS];
const FREEZE: readonly KeyShape[] = [FROZEN_UNTIL_KEYS, FREEZE_REASON_KEYS];
const PERIOD: readonly KeyShape[] = [PERIOD_KEYS, GRANTS_KEYS];

/** The sum of what a reset removed and what was spent since; undefined if it can't be told. */
function mergeWith(
  shape: KeyShape,
  {before, left, current}: {before: Stored; left: Held; current: Held},
  isChangedByUs: boolean,
): Stored | undefined {
  if (shape === BUDGET_KEYS) return left !== false || isChangedByUs || before === false ? undefined : before;
  if (shape !== SPENT_KEYS || typeof before !== 'string' || typeof current !== 'string' || left === true)
    return undefined;
  const [old, now, base] = [before, current, left === false ? '0' : left].map(parseStoredMoney);
  const isKnown = old && now && base && base.lt(old) && now.gte(base);
  return isKnown ? toPlainDigits(old.plus(now.minus(base))) : undefined;
}

function describeConflict(shape: KeyShape, {before, after}: KeyRecord, current: Held): string {
  const [was, left] = [before, after ?? false].map((value) => describeHeld(shape, heldOf(value)));
  const now = describeHeld(shape, current);
  return `its ${keyName(shape)} is ${now} now, not ${left ?? ''} as that change left it (it was ${was ?? ''} before)`;
}

function describeLater({change, command}: LaterChange): string {
  return `${command} (${change})`;
}

/** True for a freeze that was over by its own text, whatever TTL its keys had. */
function hasEnded(keys: readonly KeyRecord[], now: Date): boolean {
  const before = keys.find(({shape}) => shape === FROZEN_UNTIL_KEYS)?.before;
  const end = before && before.kind === 'text' ? parseGatewayTime(before.text) : undefined;
  return end?.kind === 'time' && end.at <= now;
}

/**
 * What remains of a value after its TTL has run on; nothing once it has expired. A freeze that would be over by now is
 * not revived.
 */
function remaining(value: Value, at: Date, now: Date): Stored {
  if (value === false) return false;
  const {kind, text, ttl} = value;
  const left = ttl < 0 ? ttl : ttl - (now.getTime() - at.getTime());
  if (ttl >= 0 && left <= 0) return false;
  if (kind === 'dump') return [text, left < 0 ? 0 : left, 'dump'];
  return left < 0 ? text : [text, left];
}

function heldAfter(stored: Stored): Held {
  if (!Array.isArray(stored)) return stored;
  return stored[2] === 'dump' || stored[0];
}

function addPart(found: Map<string, RecordedChange>, {records, ...facts}: ChangePart): void {
  const known = found.get(facts.change);
  const change: RecordedChange = known ?? {
    ...facts,
    sessions: new Map(),
    later: new Map(),
    newest: undefined,
    isWhole: true,
  };
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

/**
 * Reads the journal's later changes of the same sessions: all, or those since the last time it was read.
 *
 * @param own a change to leave out
 */
async function readLater(redis: Redis, changes: readonly RecordedChange[], own?: string): Promise<void> {
  const times = changes.map(({at, began, newest}) => (newest === undefined ? (began ?? at).getTime() : timeOf(newest)));
  const news = changes.map((change) => ({change, met: new Set<RawId>(), later: new Map<RawId, LaterChange[]>()}));
  let newest: string | undefined;
  for await (const {parts} of readJournal(redis, new Date(Math.min(...times)))) {
    newest ??= parts[0]?.entry;
    for (const {entry, change: other, command, undoes, records} of parts) {
      for (const {change, met, later} of news) {
        if (other === own || (change.newest !== undefined && compareEntries(entry, change.newest) <= 0)) continue;
        for (const {id} of records) {
          if (other === change.change) met.add(id);
          else if (change.sessions.has(id) && !met.has(id))
            later.set(id, [...(later.get(id) ?? []), {change: other, command, undoes}]);
        }
      }
    }
  }
  for (const {change, later} of news) {
    for (const [id, some] of later) change.later.set(id, [...some, ...(change.later.get(id) ?? [])]);
    change.newest = newest ?? change.newest;
  }
}

/** The ID of an entry is milliseconds and a number. */
function compareEntries(a: string, b: string): number {
  return timeOf(a) - timeOf(b) || Number(a.split('-')[1]) - Number(b.split('-')[1]);
}

function timeOf(entry: string): number {
  return Number.parseInt(entry);
}

/**
 * True when Redis has dropped entries; Redis below 7 does not tell. An entry that was taken back is none of them: it is
 * known that there was one, but not how many.
 */
async function isTrimmed(redis: Redis): Promise<boolean> {
  const [info] = await redis.pipeline([['XINFO', 'STREAM', JOURNAL_KEY]]);
  const facts = Array.isArray(info) ? (info as unknown[]) : [];
  const valueOf = (name: string): unknown => facts[facts.indexOf(name) + 1];
  const takenBack = valueOf('max-deleted-entry-id') === '0-0' ? 0 : 1;
  return facts.includes('entries-added') && Number(valueOf('entries-added')) > Number(valueOf('length')) + takenBack;
}
