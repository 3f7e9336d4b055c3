import {isUtf8} from 'node:buffer';

import type {RedisText} from '../redis/contract.js';
import {isAscii, type RawId} from '../values/session-id.js';

/** What stands before and after the ID in a key. An ID may itself hold colons, so it is never found by splitting. */
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

/** Sorted set, TTL 120 s: emptied by each request, so that it is there only while one is under way. */
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

/** Of these a session that the gateway has met lately has one. */
export const KNOWN_KEYS: readonly KeyShape[] = [
  BUDGET_KEYS,
  SPENT_KEYS,
  FROZEN_UNTIL_KEYS,
  REQUEST_COUNT_KEYS,
  HISTORY_KEYS,
];

/** String, no TTL: JSON, how and when the budget renews. Our own, the gateway knows nothing of it. */
export const PERIOD_KEYS: KeyShape = {prefix: 'tokengate:period:', suffix: ''};

/** String, no TTL: a JSON list of what the budget has been given for a while. Our own. */
export const GRANTS_KEYS: KeyShape = {prefix: 'tokengate:grants:', suffix: ''};

/** String, no TTL: the name of the store, which a change of it has to give. Our own; one key, of `STORE_ID`. */
export const STORE_KEYS: KeyShape = {prefix: 'tokengate:store', suffix: ''};

/** That one key. */
export const STORE_KEY = 'tokengate:store';

/** Stands for the store as a whole where a change has the ID of a session, which is never empty. */
export const STORE_ID = '' as RawId;

/** Every key that a change may write. */
export const CHANGED_KEYS: readonly KeyShape[] = [...SESSION_KEYS, PERIOD_KEYS, GRANTS_KEYS, STORE_KEYS];

/** A key of one session. */
export function keyOf({prefix, suffix}: KeyShape, id: RawId): RedisText {
  return withId(prefix, toRedisText(id), suffix);
}

/** A session as a field of a hash. */
export function fieldOf(id: RawId): RedisText {
  return toRedisText(id);
}

/** Bytes, one character a byte, as they are sent: as text where they are UTF-8, since the client joins texts to one. */
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
 * session. One for each name; our own, the gateway knows nothing of it.
 */
export function alertsKey(name: string | undefined): string {
  return name === undefined ? 'tokengate:alerts' : `tokengate:alerts:${name}`;
}

/**
 * Hash, no TTL: the ledger of what was spent, written by `record-spending` alone. Fields: `timezone` of its days; `match`,
 * the glob that its sessions match, if any; `began` and `recorded`, when the first and the last recording were, in
 * milliseconds; `position`, up to which entry of the journal all sessions are accounted for; `gone`, the same when it was
 * said already that the journal has dropped that; `day:2026-11-28`, the times of
 * the first and the last recording of that day, the largest gap before one of them, in milliseconds, and how often
 * the journal had been trimmed before one. All keys of the ledger share a slot of a cluster.
 */
export const LEDGER_KEY = 'tokengate:{spending}:ledger';

/**
 * Hash, no TTL: by session what the last recording saw: the amount spent, in exact digits, and the entry of the
 * journal up to which it is accounted for.
 */
export const SEEN_KEY = 'tokengate:{spending}:seen';

/** Hash, dropped by `record-spending --keep`: by session what it spent on a day (`2026-11-28`), in exact digits. */
export function spentDayKey(day: string): string {
  return `tokengate:{spending}:day:${day}`;
}

/** Hash, TTL 50 h: the same of an hour, in UTC (`2026-11-28T17`). */
export function spentHourKey(hour: string): string {
  return `tokengate:{spending}:hour:${hour}`;
}

/** Hash, dropped with the day: by session by how much its spending fell with no entry in the journal. */
export function unaccountedKey(day: string): string {
  return `tokengate:{spending}:unaccounted:${day}`;
}

/**
 * A Redis Stream of what this CLI has changed. An entry is the change of up to a hundred sessions, written in the same
 * atomic step. Its ID says when, by the server's clock. Fields, in this order: `change`, an ID that all entries of one
 * command share; `began`, the time before which it has none, for a batch; `command`; `actor`; `reason`; `version` of the CLI; `undoes`,
 * the change that is undone, if any; `keys`, names of keys; `sessions`, a JSON list: for each session its ID and, for each
 * key, what it held before and after. That is false for none, a text, `[text, TTL in milliseconds]`, or
 * `[DUMP, TTL, "dump"]` for what is no text. `true` after says that the key stayed; then there is no TTL before, and
 * `true` before says that it was no text. Its strings are bytes, which need not be UTF-8.
 *
 * On a cluster an entry is written before its change, and then has `state`, which is "begun". A later entry has `change`;
 * `completes`, the ID of that entry; `only`, a JSON list of the sessions that were not changed as announced, each a list of
 * its ID and the names of the keys that were; and `unknown`, a JSON list of the IDs of which that is not known.
 */
export const JOURNAL_KEY = 'tokengate:journal';
