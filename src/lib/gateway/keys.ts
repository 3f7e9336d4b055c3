import {isUtf8} from 'node:buffer';

import type {RedisText} from '../redis/contract.js';
import {isAscii, type RawId} from '../values/session-id.js';

/** The text before and after the ID in a key. An ID may hold colons itself, so never split a key at them. */
export interface KeyShape {
  prefix: string;
  suffix: string;
}

/** String, no TTL: the limit in USD, decimal text. */
export const BUDGET_KEYS: KeyShape = {prefix: 'session:', suffix: ':budget'};

/** String, no TTL: spent so far in USD, decimal text; absent means 0. */
export const SPENT_KEYS: KeyShape = {prefix: 'session:', suffix: ':spent'};

/** String, TTL = the length of the freeze: the END of the freeze, ISO 8601 in UTC without an offset. */
export const FROZEN_UNTIL_KEYS: KeyShape = {prefix: 'anomaly:', suffix: ':frozen_until'};

/** String, the same TTL as `frozen_until`: why the session is frozen. */
export const FREEZE_REASON_KEYS: KeyShape = {prefix: 'anomaly:', suffix: ':freeze_reason'};

/** String integer, TTL 60 s renewed at each request: requests since the last 60 s without one. */
export const REQUEST_COUNT_KEYS: KeyShape = {prefix: 'anomaly:', suffix: ':requests:1min'};

/** String integer, TTL 300 s: identical consecutive requests after the first. */
export const IDENTICAL_COUNT_KEYS: KeyShape = {prefix: 'anomaly:', suffix: ':identical_count'};

/** String, TTL 300 s: MD5 of the last request. */
export const LAST_HASH_KEYS: KeyShape = {prefix: 'anomaly:', suffix: ':last_hash'};

/** Sorted set, TTL 120 s. Each request empties it, so it exists only during a request. */
export const VELOCITY_KEYS: KeyShape = {prefix: 'anomaly:', suffix: ':velocity'};

/** List, TTL 3600 s, newest first, at most 100: JSON `{"timestamp", "model", "cost"}`. */
export const HISTORY_KEYS: KeyShape = {prefix: 'anomaly:', suffix: ':history'};

/** Every key of a session. */
export const SESSION_KEYS = [
  BUDGET_KEYS,
  SPENT_KEYS,
  FROZEN_UNTIL_KEYS,
  FREEZE_REASON_KEYS,
  REQUEST_COUNT_KEYS,
  IDENTICAL_COUNT_KEYS,
  LAST_HASH_KEYS,
  VELOCITY_KEYS,
  HISTORY_KEYS,
] as const satisfies readonly KeyShape[];

/** A session that the gateway has met lately has one of these. */
export const KNOWN_KEYS: readonly KeyShape[] = [
  BUDGET_KEYS,
  SPENT_KEYS,
  FROZEN_UNTIL_KEYS,
  REQUEST_COUNT_KEYS,
  HISTORY_KEYS,
];

/** String, no TTL: JSON, how and when the budget renews. Written by this CLI only; the gateway does not read it. */
export const PERIOD_KEYS: KeyShape = {prefix: 'tokengate:period:', suffix: ''};

/** String, no TTL: a JSON list of temporary additions to the budget. Written by this CLI only. */
export const GRANTS_KEYS: KeyShape = {prefix: 'tokengate:grants:', suffix: ''};

/**
 * String, no TTL: the name of the store, which every change has to give. Written by this CLI only; there is one such
 * key, for `STORE_ID`.
 */
export const STORE_KEYS: KeyShape = {prefix: 'tokengate:store', suffix: ''};

/** That key itself. */
export const STORE_KEY = 'tokengate:store';

/** Stands for the store as a whole where a change names a session: a session's ID is never empty. */
export const STORE_ID = '' as RawId;

/** Every key that a change may write. */
export const CHANGED_KEYS: readonly KeyShape[] = [...SESSION_KEYS, PERIOD_KEYS, GRANTS_KEYS, STORE_KEYS];

/** A key of one session. */
export function keyOf({prefix, suffix}: KeyShape, id: RawId): RedisText {
  return withId(prefix, toRedisText(id), suffix);
}

/** A session as the field of a hash. */
export function fieldOf(id: RawId): RedisText {
  return toRedisText(id);
}

/** Bytes, one character a byte, in the form to send: UTF-8 as text, because the client joins texts before it writes. */
export function toRedisText(bytes: string): RedisText {
  if (isAscii(bytes)) return bytes;
  const exact = Buffer.from(bytes, 'latin1');
  return isUtf8(exact) ? exact.toString() : exact;
}

/** Keys of several sessions, one session after the other. */
export function keysOf(shapes: readonly KeyShape[], ids: readonly RawId[]): RedisText[] {
  const keys: RedisText[] = [];
  for (const id of ids) {
    const sent = toRedisText(id);
    for (const {prefix, suffix} of shapes) keys.push(withId(prefix, sent, suffix));
  }
  return keys;
}

function withId(prefix: string, id: RedisText, suffix: string): RedisText {
  if (typeof id === 'string') return prefix + id + suffix;
  return Buffer.concat([Buffer.from(prefix), id, Buffer.from(suffix)]);
}

/** The name of a key without the session: `spent`, `requests:1min`, `period`. */
export function keyName({prefix, suffix}: KeyShape): string {
  return suffix === '' ? prefix.slice('tokengate:'.length).replace(/:$/, '') : suffix.slice(1);
}

/**
 * Hash, TTL 90 days renewed at each change: the crossings that `check-sessions --new-only` has reported, by rule and
 * session. One hash for each `--state`. Written by this CLI only; the gateway does not read it.
 */
export function alertsKey(name: string | undefined): string {
  return name === undefined ? 'tokengate:alerts' : `tokengate:alerts:${name}`;
}

/**
 * Hash, no TTL: the ledger of spending, written only by `record-spending`. Its fields:
 * - `timezone`: in which its days begin;
 * - `match`: the glob of its sessions, if any;
 * - `began`, `recorded`: the times of the first and the last recording, in milliseconds;
 * - `position`: the journal entry up to which all sessions are accounted for;
 * - `gone`: the same entry, once the warning was printed that the journal has dropped it;
 * - `day:2026-11-28`: the times of that day's first and last recording, the largest gap before one of them in
 * milliseconds, and how many of them found the journal trimmed.
 * All keys of the ledger share a slot of a cluster.
 */
export const LEDGER_KEY = 'tokengate:{spending}:ledger';

/**
 * Hash, no TTL: what the last recording saw of each session: the amount spent, in exact digits, and the journal entry
 * up to which that is accounted for.
 */
export const SEEN_KEY = 'tokengate:{spending}:seen';

/** Hash, dropped by `record-spending --keep`: each session's spending on a day (`2026-11-28`), in exact digits. */
export function spentDayKey(day: string): string {
  return `tokengate:{spending}:day:${day}`;
}

/** Hash, TTL 50 h: each session's spending in an hour, in UTC (`2026-11-28T17`). */
export function spentHourKey(hour: string): string {
  return `tokengate:{spending}:hour:${hour}`;
}

/** Hash, dropped with its day: how far each session's spending fell without an entry in the journal. */
export function unaccountedKey(day: string): string {
  return `tokengate:{spending}:unaccounted:${day}`;
}

/**
 * A Redis Stream of the changes that this CLI makes. An entry is written in the same atomic step as its change, and
 * holds up to a hundred sessions. Its ID is the time of the change, by the server's clock. Its fields, in this order:
 * - `change`: an ID that all entries of one command share;
 * - `began`: of a batch, a time before its first entry;
 * - `command`, `actor`, `reason`, and the `version` of the CLI;
 * - `undoes`: the change that it undoes, if any;
 * - `keys`: names of keys;
 * - `sessions`: a JSON list; for each session its ID and, for each key, its value before and after;
 * - `texts`: a JSON list of long texts, if there are any.
 *
 * A value is false for no key, a text, the index of a text in `texts`, `[text, TTL in milliseconds]`, or
 * `[DUMP, TTL, "dump"]` for a key that holds no text. `true` after means that the key stayed: then the value before has
 * no TTL, and is `true` if it was no text. All strings are bytes, which need not be UTF-8.
 *
 * On a cluster an entry is written before its change and has a `state`, "begun". A later entry completes it, with these
 * fields: `change`; `completes`, the ID of the first entry; `only`, a JSON list of the sessions that were not changed
 * as announced, each a list of its ID and the names of the keys that were changed; and `unknown`, a JSON list of the
 * IDs whose outcome is not known.
 */
export const JOURNAL_KEY = 'tokengate:journal';
