/** A key or an argument of a command: text, or the exact bytes of a key whose name is not UTF-8. */
export type RedisText = string | Buffer;

const SESSION_PREFIX = 'session:';
const BUDGET_SUFFIX = ':budget';

/** String, no TTL: the limit in USD, decimal text. */
export const budgetKey = (id: string): string => `${SESSION_PREFIX}${id}${BUDGET_SUFFIX}`;

/** String, no TTL: spent so far in USD, decimal text; absent means 0. */
export const spentKey = (id: string): string => `${SESSION_PREFIX}${id}:spent`;

/** String, TTL = the length of the freeze: the END of the freeze, ISO 8601 in UTC without an offset. */
export const frozenUntilKey = (id: string): string => `anomaly:${id}:frozen_until`;

/** String, the same TTL as `frozen_until`: why the session is frozen. */
export const freezeReasonKey = (id: string): string => `anomaly:${id}:freeze_reason`;

/** String integer, TTL 60 s renewed at each request: requests since the last 60 s without one. */
export const requestCountKey = (id: string): string => `anomaly:${id}:requests:1min`;

/** String integer, TTL 300 s: identical consecutive requests after the first. */
export const identicalCountKey = (id: string): string => `anomaly:${id}:identical_count`;

/** String, TTL 300 s: MD5 of the last request. */
export const lastHashKey = (id: string): string => `anomaly:${id}:last_hash`;

/** List, TTL 3600 s, newest first, at most 100: JSON `{"timestamp", "model", "cost"}`. */
export const historyKey = (id: string): string => `anomaly:${id}:history`;

/** SCAN pattern of the budget key of every session; `?*` because an ID is never empty. */
export const BUDGET_KEY_PATTERN = `${SESSION_PREFIX}?*${BUDGET_SUFFIX}`;

/** The ID in a budget key: prefix and suffix are cut off, since an ID may itself hold colons. */
export function idOfBudgetKey(key: string): string {
  return key.slice(SESSION_PREFIX.length, -BUDGET_SUFFIX.length);
}

/** The spent key beside a budget key given as bytes. */
export function spentKeyBeside(budget: Buffer): Buffer {
  return Buffer.concat([budget.subarray(0, -BUDGET_SUFFIX.length), Buffer.from(':spent')]);
}
