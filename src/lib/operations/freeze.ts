import {changeKnown} from '../change/apply.js';
import type {Change} from '../change/change.js';
import {describeFreeze, FOREVER, type FreezeState, toFreezeState} from '../gateway/freeze.js';
import {
  BUDGET_KEYS,
  FREEZE_REASON_KEYS,
  FROZEN_UNTIL_KEYS,
  IDENTICAL_COUNT_KEYS,
  LAST_HASH_KEYS,
  REQUEST_COUNT_KEYS,
  SPENT_KEYS,
} from '../gateway/keys.js';
import {inText, type Journal} from '../journal/entry.js';
import type {Redis} from '../redis/contract.js';
import {TokengateError} from '../values/errors.js';
import {nameOf, type RawId} from '../values/session-id.js';
import {formatDuration, formatGatewayTime, formatUtc} from '../values/time.js';

export interface Freeze {
  id: string;
  /** The end of the freeze that holds now. */
  until: Date;
  /** Untrusted text; null for a freeze that is kept and has none. */
  reason: string | null;
  /** What was found. When that freeze ends no sooner it is kept, and `isKept` is true. */
  previous: FreezeState;
  isKept: boolean;
  /** False when nothing is known of the session: it has neither a budget nor spending. */
  isKnown: boolean;
}

export interface Unfreeze {
  id: string;
  previous: FreezeState;
  /** True when it is frozen for another reason than the one that was asked for, and stays so. */
  isKept: boolean;
  /** True when a counter was removed that could have frozen the session again. */
  countersCleared: boolean;
  /** True when it was not frozen, but what an earlier freeze had left was removed. */
  leftoversCleared: boolean;
}

export interface FreezeOptions {
  reason: string;
  /** The end; `FOREVER` for a freeze without one. */
  until: Date;
  now: Date;
  /** Replaces a freeze that ends no sooner, too. */
  force: boolean;
}

export interface UnfreezeOptions {
  now: Date;
  /** Ends only a freeze that has exactly this reason. */
  withReason?: string | undefined;
}

/** What an unfreeze did to a session: `was frozen until …`, or what it removed. May hold untrusted text. */
export function describeUnfreeze(unfreeze: Unfreeze): string {
  const {previous} = unfreeze;
  const cleared = describeCleared(unfreeze);
  return cleared === '' ? `was ${describeFreeze(previous)}` : `${cleared}; it was not frozen`;
}

/** `its counters are cleared`, of a session that was not frozen; else nothing. */
export function describeCleared({previous, countersCleared, leftoversCleared}: Unfreeze): string {
  const what = [
    ...(leftoversCleared ? ['what was left of a freeze'] : []),
    ...(countersCleared ? ['its counters'] : []),
  ];
  if (previous.isFrozen !== false || what.length === 0) return '';
  return `${what.join(' and ')} ${countersCleared ? 'are' : 'is'} cleared`;
}

/**
 * Freezes a session: both keys in one atomic step, with the same TTL, in the form that the gateway obeys. A freeze that
 * ends no sooner is kept unless forced.
 *
 * @throws TokengateError INVALID_REASON, INVALID_TIME, OUTCOME_UNKNOWN, JOURNAL_REFUSED
 */
export async function freezeSession(
  redis: Redis,
  id: RawId,
  options: FreezeOptions,
  journal: Journal | undefined,
): Promise<Freeze> {
  return changeKnown(redis, id, freezeChange(options), {journal, what: `session '${nameOf(id)}' was frozen`});
}

/**
 * Ends a freeze, and clears the counters that would bring it back at the next request: identical requests, the last
 * request's hash, requests of the last minute. All in one atomic step.
 *
 * @throws TokengateError OUTCOME_UNKNOWN, JOURNAL_REFUSED
 */
export async function unfreezeSession(
  redis: Redis,
  id: RawId,
  options: UnfreezeOptions,
  journal: Journal | undefined,
): Promise<Unfreeze> {
  return changeKnown(redis, id, unfreezeChange(options), {journal, what: `session '${nameOf(id)}' was unfrozen`});
}

/** @throws TokengateError INVALID_REASON, INVALID_TIME */
export function freezeChange({reason, until, now, force}: FreezeOptions): Change<Freeze> {
  if (reason === '') throw new TokengateError('INVALID_REASON', 'The reason is empty.');
  if (!(until <= FOREVER)) {
    const message = 'The end of the freeze is after the year 9999, which the gateway cannot read.';
    throw new TokengateError('INVALID_TIME', message, {hint: 'For a freeze without end use --forever.'});
  }
  const seconds = Math.ceil((until.getTime() - now.getTime()) / 1000);
  if (seconds <= 0) {
    throw new TokengateError('INVALID_TIME', `The end of the freeze, ${formatUtc(until)}, is in the past.`);
  }
  const isForever = until.getTime() === FOREVER.getTime();
  const ttl = isForever ? '' : String(seconds * 1000);
  const started = now.getTime() - performance.now();
  return {
    shapes: [FROZEN_UNTIL_KEYS, FREEZE_REASON_KEYS, BUDGET_KEYS, SPENT_KEYS],
    script: FREEZE,
    args: [formatGatewayTime(until), reason, ttl, force ? 'force' : '', String(until.getTime()), String(now.getTime())],
    read(id, word, [oldUntil = false, oldReason = false, budget, spent]) {
      const name = nameOf(id);
      const previous = toFreezeState(name, oldUntil, oldReason, now);
      const isKept = word === 'kept';
      if (isKept && previous.until === null) throw new RangeError('a freeze is kept that cannot be read');
      return {
        id: name,
        state: isKept ? 'unchanged' : 'done',
        result: {
          id: name,
          until: isKept ? (previous.until ?? until) : until,
          reason: isKept ? previous.reason : reason,
          previous,
          isKept,
          isKnown: budget !== false || spent !== false,
        },
      };
    },
    lookAt: [FROZEN_UNTIL_KEYS, FREEZE_REASON_KEYS],
    lives: [FROZEN_UNTIL_KEYS],
    preview(id, [oldUntil, oldReason], [life = NaN]) {
      const state = toFreezeState(nameOf(id), inText(oldUntil), inText(oldReason), now);
      const isLater = state.isFrozen === true && (state.until ?? now) >= until;
      // A key without a TTL has -1, and one of which nothing is known NaN.
      const endsSooner = isLater && life >= 0 && started + performance.now() + life < until.getTime();
      const sooner = endsSooner ? `, but its key expires in ${formatDuration(life)}` : '';
      return {
        id: nameOf(id),
        state: isLater && !endsSooner && !force ? 'unchanged' : 'done',
        now: `${describeFreeze(state)}${sooner}`,
        then: describeFreeze({...state, isFrozen: true, until, reason}),
      };
    },
  };
}

export function unfreezeChange({now, withReason}: UnfreezeOptions): Change<Unfreeze> {
  return {
    shapes: UNFREEZE_KEYS,
    script: UNFREEZE,
    args: withReason === undefined ? [] : [withReason],
    read(id, word, [oldUntil = false, oldReason = false, ...counters]) {
      const name = nameOf(id);
      const previous = toFreezeState(name, oldUntil, oldReason, now);
      const isMeant = word !== 'kept';
      const isFrozen = previous.isFrozen !== false;
      const hadFreezeKeys = oldUntil !== false || oldReason !== false;
      const countersCleared = isMeant && counters.some((counter) => counter !== false);
      const leftoversCleared = isMeant && hadFreezeKeys && !isFrozen;
      return {
        id: name,
        state: isMeant && (hadFreezeKeys || countersCleared) ? 'done' : 'unchanged',
        result: {id: name, previous, isKept: isFrozen && !isMeant, countersCleared, leftoversCleared},
      };
    },
    lookAt: UNFREEZE_KEYS,
    preview(id, [until, reason, ...counters]) {
      const name = nameOf(id);
      const state = toFreezeState(name, inText(until), inText(reason), now);
      const hasFreezeKeys = until !== false || reason !== false;
      const hasCounters = counters.some((counter) => counter !== false);
      const isMeant = withReason === undefined || (until !== false && inText(reason) === withReason);
      const rest = [...(hasFreezeKeys ? ['what is left of a freeze'] : []), ...(hasCounters ? ['counters'] : [])];
      const withRest = state.isFrozen === false && rest.length > 0 ? `, with ${rest.join(' and ')}` : '';
      return {
        id: name,
        state: isMeant && (hasFreezeKeys || hasCounters) ? 'done' : 'unchanged',
        now: `${describeFreeze(state)}${withRest}`,
        then: `not frozen${hasCounters ? ', counters cleared' : ''}`,
      };
    },
  };
}

/** A character of UTF-8 text, as patterns of Lua. Not U+FFFD, which is read in place of bytes that are none. */
const CHARACTERS = [
  '[%z\\1-\\127]',
  '[\\194-\\223][\\128-\\191]',
  '\\224[\\160-\\191][\\128-\\191]',
  '[\\225-\\236\\238][\\128-\\191][\\128-\\191]',
  '\\237[\\128-\\159][\\128-\\191]',
  '\\239[\\128-\\190][\\128-\\191]',
  '\\239\\191[\\128-\\188\\190\\191]',
  '\\240[\\144-\\191][\\128-\\191][\\128-\\191]',
  '[\\241-\\243][\\128-\\191][\\128-\\191][\\128-\\191]',
  '\\244[\\128-\\143][\\128-\\191][\\128-\\191]',
];

const AFTER_CHARACTER = CHARACTERS.map((one) => `string.match(rest, '^${one}(%d[%d:]*[.,]?%d*)$')`).join(' or ');

/**
 * Old: frozen_until, freeze_reason, budget, spent. Args: end, reason, TTL in milliseconds (empty for none), `force` or
 * empty, end and now in milliseconds. Keeps a freeze that ends no sooner, and whose key does not expire sooner. Reads what `parseGatewayTime` reads as a time without an offset, and nothing
 * else, as digits: these compare as text.
 */
const FREEZE = `
  local function read(text)
    if type(text) ~= 'string' then return nil end
    local year, _, month, day, rest = string.match(text, '^(%d%d%d%d)(%-?)(%d%d)%2(%d%d)(.*)$')
    if not year or year == '0000' then return nil end
    local days = ({31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31})[tonumber(month)]
    if month == '02' and year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0) then days = 29 end
    if not days or day == '00' or tonumber(day) > days then return nil end
    local digits, fraction = '', ''
    if rest ~= '' then
      local clock, point
      clock, point, fraction = string.match(${AFTER_CHARACTER} or '', '^([%d:]+)([.,]?)(%d*)$')
      if not clock or (point == '') ~= (fraction == '') then return nil end
      digits = string.gsub(clock, ':', '')
      local spaced = string.sub(string.gsub(digits, '%d%d', ':%0'), 2)
      if #digits % 2 == 1 or #digits > 6 or (clock ~= digits and clock ~= spaced) then return nil end
    end
    digits = digits .. string.rep('0', 6 - #digits)
    if digits > '235959' or not string.find(digits, '^..[0-5].[0-5]') then return nil end
    return year .. month .. day .. digits .. string.sub(fraction .. '000000', 1, 6)
  end
  local current = args[4] == '' and read(old[1])
  if current and current >= read(args[1]) and expiry(1, args[6]) >= tonumber(args[5]) then return 'kept' end
  local ttl = tonumber(args[3])
  if not ttl then return 'done', {args[1], args[2]} end
  return 'done', {{args[1], ttl}, {args[2], ttl}}`;

const UNFREEZE_KEYS = [
  FROZEN_UNTIL_KEYS,
  FREEZE_REASON_KEYS,
  IDENTICAL_COUNT_KEYS,
  LAST_HASH_KEYS,
  REQUEST_COUNT_KEYS,
] as const;

/** Old: frozen_until, freeze_reason, and the counters. Args: nothing, or the only reason that is meant. */
const UNFREEZE = `
  if args[1] and not (old[1] and old[2] == args[1]) then return 'kept' end
  return 'done', {false, false, false, false, false}`;
