import {JOURNAL_KEY, keyName, type KeyShape, CHANGED_KEYS} from '../gateway/keys.js';
import {decodeText} from '../gateway/stored-text.js';
import type {Held} from '../gateway/stored-value.js';
import {ErrorReply, type Redis} from '../redis/contract.js';
import {TokengateError} from '../values/errors.js';
import {isAscii, type RawId, rawId} from '../values/session-id.js';

/** The minimum number of entries to keep. */
export const DEFAULT_JOURNAL_LIMIT = 100_000;

/** The record of a change, apart from its sessions. */
export interface Journal {
  /** See `newChangeId`. */
  change: string;
  command: string;
  actor: string;
  /** Untrusted text; empty without one. */
  reason: string;
  version: string;
  /** The change that this one undoes. */
  undoes?: string | undefined;
  /** A time before the first of its entries, by the server's clock, if it may have several. */
  began?: Date | undefined;
  /** The minimum number of entries to keep; Redis drops the oldest in blocks. */
  limit: number;
}

/** A value to write: false for no key, a text, a text with its TTL, or a DUMP with its TTL, in milliseconds. */
export type Stored = false | string | [text: string, ttl: number] | [dump: string, ttl: number, kind: 'dump'];

/** The value of a key. Texts and dumps are bytes, one character a byte. A TTL is in milliseconds, -1 for none. */
export type Value = false | {kind: 'text' | 'dump'; text: string; ttl: number};

/** The change of one key. `after` is undefined when the key stayed; `before` then has no TTL. */
export interface KeyRecord {
  shape: KeyShape;
  before: Value;
  after: Value | undefined;
}

/** The change of one session. */
export interface ChangedSession {
  id: RawId;
  keys: KeyRecord[];
  /** False for a change that had begun on a cluster, and may not have been carried out. */
  isComplete: boolean;
}

/** One entry: a part of a change. */
export interface ChangePart extends Omit<Journal, 'limit'> {
  /** The ID of the entry in the stream. */
  entry: string;
  at: Date;
  records: ChangedSession[];
}

const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';

/** Ten random letters and digits without look-alikes: 50 bits, for a journal of thousands. */
export function newChangeId(): string {
  return Array.from({length: 10}, () => DIGITS[Math.floor(Math.random() * DIGITS.length)]).join('');
}

/** The fields of an entry, without the last one's value. */
export function toFields(journal: Journal, shapes: readonly KeyShape[]): string[] {
  const {change, began, command, actor, reason, version, undoes = ''} = journal;
  const keys = shapes.map(keyName).join(' ');
  const fields = {change, began: String(began?.getTime() ?? ''), command, actor, reason, version, undoes, keys};
  return [...Object.entries(fields).flat(), 'sessions'];
}

/** In milliseconds: the longest time from 1970 that a date can hold. */
const MAX_TTL = 8.64e15;

/** Entries to read in one step. */
const PAGE = 200;

/**
 * Reads the journal, newest first, some entries at a time.
 *
 * @param since leaves out older entries
 * @throws TokengateError JOURNAL_UNREADABLE
 */
export async function* readJournal(
  redis: Redis,
  since?: Date,
): AsyncGenerator<{parts: ChangePart[]; unreadable: number}> {
  const oldest = since === undefined ? '-' : String(Math.max(0, since.getTime()));
  let newest = '+';
  const completions = new Map<string, Completion>();
  for (;;) {
    const [page] = await redis.pipelineBytes([['XREVRANGE', JOURNAL_KEY, newest, oldest, 'COUNT', String(PAGE)]]);
    if (page instanceof ErrorReply) throw journalUnreadable(redis, page);
    const entries = page as [id: Buffer, fields: Buffer[]][];
    const parsed = entries.map(([id, fields]) => parseEntry(id.toString('latin1'), fields, completions));
    const parts = parsed.filter((part) => typeof part === 'object');
    yield {parts, unreadable: parsed.filter((part) => part === undefined).length};
    const last = entries.at(-1)?.[0].toString('latin1');
    if (last === undefined || entries.length < PAGE) return;
    newest = `(${last}`;
  }
}

export function journalUnreadable(redis: Redis, reply: ErrorReply): TokengateError {
  const {message, hint} = redis.explain(reply);
  return new TokengateError('JOURNAL_UNREADABLE', `The journal of changes cannot be read: ${message}`, {
    hint,
    cause: reply,
  });
}

export function heldOf(value: Value): Held {
  return value === false ? false : value.kind === 'dump' || value.text;
}

/** The bytes of a text as text. */
export function toText(bytes: string): string {
  return isAscii(bytes) ? bytes : Buffer.from(bytes, 'latin1').toString();
}

/** The same for the value of a key. */
export function inText(held: Held | undefined): Held {
  return typeof held !== 'string' ? (held ?? false) : isAscii(held) ? held : decodeText(Buffer.from(held, 'latin1'));
}

/** The outcome of a change that had begun. */
export interface Completion {
  /** Sessions of which only some keys were changed, or none. */
  only: Map<string, string[]>;
  unknown: Set<string>;
}

/**
 * Undefined for an entry that this CLI did not write. A completion is remembered: reading backwards, it comes before
 * the entry that it completes.
 */
export function parseEntry(
  entry: string,
  fields: readonly Buffer[],
  completions: Map<string, Completion>,
): ChangePart | 'completion' | undefined {
  const pairs = Array.from({length: fields.length / 2}, (_, index) => fields.slice(2 * index, 2 * index + 2));
  const texts = new Map(pairs.map(([name, value]) => [String(name), value]));
  const text = (name: string): string => texts.get(name)?.toString() ?? '';
  const shapes = text('keys')
    .split(' ')
    .map((name) => CHANGED_KEYS.find((shape) => keyName(shape) === name));
  const json = (name: string): unknown => JSON.parse(texts.get(name)?.toString('latin1') ?? '');
  try {
    const at = parseMoment(entry.split('-')[0] ?? '');
    const completed = text('completes');
    if (completed !== '') {
      const only = (json('only') as [string, ...string[]][]).map(([id, ...keys]) => [id, keys] as const);
      completions.set(completed, {only: new Map(only), unknown: new Set(json('unknown') as string[])});
      return 'completion';
    }
    const sessions: unknown = json('sessions');
    const shared = texts.has('texts') ? (json('texts') as unknown[]) : [];
    const width = 1 + 2 * shapes.length;
    if (!Array.isArray(sessions) || sessions.length % width !== 0 || text('change') === '') return undefined;
    return {
      entry,
      at,
      change: text('change'),
      command: text('command'),
      actor: text('actor'),
      reason: text('reason'),
      version: text('version'),
      undoes: text('undoes') || undefined,
      began: text('began') === '' ? undefined : parseMoment(text('began')),
      records: Array.from({length: sessions.length / width}, (_, index) =>
        parseSession(sessions.slice(index * width, (index + 1) * width), shapes, shared),
      ).flatMap((record) => (text('state') === 'begun' ? (complete(record, completions.get(entry)) ?? []) : record)),
    };
  } catch {
    return undefined;
  }
}

/** Milliseconds since 1970, as far as a date can go. */
function parseMoment(text: string): Date {
  const at = new Date(/^\d+$/.test(text) ? Number(text) : NaN);
  if (Number.isNaN(at.getTime())) throw new TypeError('no time');
  return at;
}

function parseSession(
  [id, ...states]: unknown[],
  shapes: readonly (KeyShape | undefined)[],
  texts: readonly unknown[],
): ChangedSession {
  if (typeof id !== 'string') throw new TypeError('no session');
  const keys = shapes.map((shape, index): KeyRecord => {
    if (shape === undefined) throw new TypeError('no key');
    const [before, after] = states
      .slice(2 * index, 2 * index + 2)
      .map((state) => (typeof state === 'number' ? texts[state] : state));
    return {shape, before: parseValue(before), after: after === true ? undefined : parseValue(after)};
  });
  return {id: rawId(id), keys, isComplete: true};
}

/** The announced change with its real outcome; undefined if nothing was changed. */
function complete(record: ChangedSession, completion: Completion | undefined): ChangedSession | undefined {
  const {id, keys} = record;
  if (completion === undefined || completion.unknown.has(id)) return {...record, isComplete: false};
  const only = completion.only.get(id);
  if (only === undefined) return record;
  const isDone = ({shape}: KeyRecord): boolean => only.includes(keyName(shape));
  if (!keys.some((key) => key.after !== undefined && isDone(key))) return undefined;
  return {...record, keys: keys.map((key) => (isDone(key) ? key : {...key, after: undefined}))};
}

function parseValue(state: unknown): Value {
  if (state === false) return false;
  if (state === true) return {kind: 'dump', text: '', ttl: -1};
  const [text, ttl, dump] = Array.isArray(state) ? (state as unknown[]) : [state, -1];
  if (typeof text !== 'string' || !isTtl(ttl)) throw new TypeError('no value');
  return {kind: dump === undefined ? 'text' : 'dump', text, ttl};
}

/** True for a TTL that Redis could give: its end is a valid date. */
function isTtl(ttl: unknown): ttl is number {
  return typeof ttl === 'number' && Number.isInteger(ttl) && ttl >= -1 && ttl <= MAX_TTL;
}

/**
 * Adds an older step of the same change, which may have had several for one session. The state before the first step
 * counts. If somebody else wrote in between, on top of what the first step removed, it is the state before the next
 * step.
 */
export function addOlder(keys: KeyRecord[], older: KeyRecord): void {
  const index = keys.findIndex(({shape}) => shape === older.shape);
  const newer = keys[index];
  if (newer === undefined) keys.push(older);
  else if (older.after !== undefined) {
    const isNext = newer.after === undefined || textOf(newer.before) === textOf(older.after);
    keys[index] = {...newer, before: isNext ? older.before : newer.before, after: newer.after ?? older.after};
  }
}

function textOf(value: Value): string | undefined {
  return value === false ? undefined : value.text;
}
