import {parseCount} from '../gateway/anomaly-stats.js';
import {FOREVER} from '../gateway/freeze.js';
import {
  BUDGET_KEYS,
  FREEZE_REASON_KEYS,
  FROZEN_UNTIL_KEYS,
  GRANTS_KEYS,
  HISTORY_KEYS,
  IDENTICAL_COUNT_KEYS,
  LAST_HASH_KEYS,
  PERIOD_KEYS,
  REQUEST_COUNT_KEYS,
  SPENT_KEYS,
  VELOCITY_KEYS,
} from '../gateway/keys.js';
import {NOT_UTF8} from '../gateway/stored-text.js';
import {parseGatewayNumber} from '../values/gateway-number.js';
import {type Money, parseStoredMoney, ZERO} from '../values/money.js';
import {isText, nameOf} from '../values/session-id.js';
import {formatGatewayTime, formatUtc, parseGatewayTime} from '../values/time.js';
import {type KeyFacts, nameOfKey, type SessionKey} from './facts.js';
import {
  type Advice,
  type Counter,
  type Finding,
  isUtf8Text,
  type Judged,
  nameFinding,
  NO_END,
  NO_KEY,
  NO_REPAIR,
  type Problem,
  quote,
  repairOf,
  utf8,
} from './finding.js';
import {judgeGrants, judgePeriod} from './judge-periods.js';
import type {Repair} from './repairs.js';

/**
 * Maximum difference between the ends of a freeze and of its reason, in milliseconds; a smaller one is not a finding.
 */
const GRACE_MS = 5000;

export function judge(facts: KeyFacts, now: Date): Judged[] {
  if (facts.type === 'none') return [];
  switch (facts.shape) {
    case BUDGET_KEYS:
      return judgeBudget(facts);
    case SPENT_KEYS:
      return judgeSpent(facts);
    case FROZEN_UNTIL_KEYS:
      return judgeFrozenUntil(facts, now);
    case FREEZE_REASON_KEYS:
      return judgeReason(facts, now);
    case REQUEST_COUNT_KEYS:
      return judgeRecord(facts, 'requests', 60_000);
    case IDENTICAL_COUNT_KEYS:
      return judgeRecord(facts, 'identical_count', 300_000);
    case LAST_HASH_KEYS:
      return judgeRecord(facts, 'last_hash', 300_000);
    case PERIOD_KEYS:
      return judgePeriod(facts, now);
    case GRANTS_KEYS:
      return judgeGrants(facts);
    case HISTORY_KEYS:
      return facts.type === 'list' ? [] : [brokenRecord(facts, 'history_wrong_type', `a Redis ${facts.type}`)];
    default:
      return facts.type === 'zset'
        ? [brokenRecord(facts, 'velocity_recent', 'spending of the last minute')]
        : [brokenRecord(facts, 'velocity_wrong_type', `a Redis ${facts.type}`)];
  }
}

const FAILS_500 = {answer: 500, effect: 'every request fails with HTTP 500'} as const;
const FAILS_503 = {answer: 503, effect: 'every request fails with HTTP 503'} as const;
/** The default; the whole session may be judged differently. */
const LIMITLESS = {answer: 500, effect: 'the session spends without limit'} as const;

function judgeBudget(facts: KeyFacts): Judged[] {
  const advice: Advice[] = ['set_budget'];
  const finding = {...nameFinding(facts), ...NO_REPAIR, advice};
  if (facts.text === null) {
    return [{...finding, ...FAILS_503, problem: 'budget_wrong_type', what: `a Redis ${facts.type}`}];
  }
  const budget = readAmount(facts.text);
  const findings: Judged[] = [];
  if (budget === 'not_money') {
    findings.push({...finding, ...failsOn(facts.text), problem: 'budget_not_money', what: notMoney(facts.text)});
  } else if (budget === 'infinite') {
    findings.push({
      ...finding,
      ...LIMITLESS,
      problem: 'budget_infinite',
      what: quote(facts.text),
    });
  }
  if (facts.ttl >= 0) {
    const effect = "then the session gets the gateway's default budget";
    findings.push({...finding, problem: 'budget_expires', what: 'a budget that ends by itself', effect, answer: null});
  }
  return findings;
}

function judgeSpent(facts: KeyFacts): Judged[] {
  const finding = {...nameFinding(facts), ...NO_REPAIR, answer: null, advice: ['reset_spent'] as Advice[]};
  if (facts.text === null) {
    const what = `a Redis ${facts.type}`;
    return [{...finding, ...FAILS_503, problem: 'spent_wrong_type', what, advice: ['delete_key']}];
  }
  const {text} = facts;
  const spent = readAmount(text);
  const findings: Judged[] = [];
  if (spent === 'not_money') {
    findings.push({...finding, ...failsOn(text), problem: 'spent_not_money', what: notMoney(text)});
  } else if (spent === 'infinite') {
    findings.push({...finding, ...LIMITLESS, problem: 'spent_infinite', what: quote(text)});
  } else if (spent.lt(ZERO)) {
    const effect = 'the session may spend more than its budget';
    findings.push({...finding, problem: 'spent_negative', what: quote(text), effect});
  }
  if (facts.others[0] === NO_KEY) {
    const effect = "the next request gets the gateway's default budget";
    const advice: Advice[] = ['set_budget', 'reset_session'];
    findings.push({...finding, problem: 'spent_without_budget', what: 'spending without a budget', effect, advice});
  }
  if (facts.ttl >= 0) {
    const effect = 'then the session spends its budget once more';
    const repair = repairOf(facts, 'take its end away', {end: 'never'});
    findings.push({
      ...finding,
      problem: 'spent_expires',
      what: 'spending that ends by itself',
      effect,
      repair,
      advice: [],
    });
  }
  return findings;
}

function judgeFrozenUntil(facts: KeyFacts, now: Date): Judged[] {
  const advice: Advice[] = ['unfreeze', 'freeze'];
  const finding = {...nameFinding(facts), ...NO_REPAIR};
  const {text, ttl} = facts;
  if (text === null) {
    return [{...finding, ...FAILS_500, problem: 'frozen_until_wrong_type', what: `a Redis ${facts.type}`, advice}];
  }
  if (text === '') {
    const effect = 'the gateway takes it for no freeze';
    const repair = repairOf(facts, 'delete it', 'delete');
    return [{...finding, problem: 'frozen_until_unreadable', what: 'an empty end', effect, answer: null, repair}];
  }
  const time = isUtf8Text(text) ? parseGatewayTime(utf8(text)) : ({kind: 'unreadable'} as const);
  if (time.kind === 'unreadable' || time.at.getUTCFullYear() > FOREVER.getUTCFullYear()) {
    return [
      {...finding, ...FAILS_500, problem: 'frozen_until_unreadable', what: `${quote(text)}, which is no time`, advice},
    ];
  }
  const ending = repairOf(facts, 'delete it, and its reason', 'delete');
  ending.steps.push({shape: FREEZE_REASON_KEYS, expected: null, to: 'delete'});
  const isForever = time.at.getUTCFullYear() === FOREVER.getUTCFullYear();
  const isOver = time.at.getTime() < now.getTime() - GRACE_MS;
  if (time.kind === 'offset') {
    const written = formatGatewayTime(time.at);
    const end = ttl >= 0 ? new Date(now.getTime() + ttl) : isForever ? 'never' : time.at;
    const repair = isOver ? ending : withReason(repairOf(facts, `write ${written}`, {text: written, end}), end);
    return [{...finding, ...FAILS_500, problem: 'frozen_until_offset', what: `${quote(text)}, with an offset`, repair}];
  }
  if (isOver) {
    const effect = 'the session is not frozen';
    const what = `a freeze that ended at ${formatUtc(time.at)}`;
    return [{...finding, problem: 'freeze_over', what, effect, answer: null, repair: ending}];
  }
  if (ttl !== NO_END || isForever) return [];
  const repair = withReason(repairOf(facts, 'let it, and its reason, end with its freeze', {end: time.at}), time.at);
  const effect = 'it stays after its freeze has ended, until a request comes';
  return [{...finding, problem: 'freeze_without_ttl', what: 'a freeze without a TTL', effect, answer: null, repair}];
}

/** Lets the reason of a freeze, if there is one, end with it. */
function withReason({steps, ...repair}: Repair, end: Date | 'never'): Repair {
  return {...repair, steps: [...steps, {shape: FREEZE_REASON_KEYS, expected: null, to: {end}}]};
}

function judgeReason(facts: KeyFacts, now: Date): Judged[] {
  const finding = {...nameFinding(facts), ...NO_REPAIR, answer: null};
  const {
    text,
    ttl,
    others: [otherTtl = NO_KEY],
  } = facts;
  if (text === null) {
    const effect = 'every request fails with HTTP 500 while the session is frozen';
    const repair = repairOf(facts, 'delete it', 'delete');
    return [
      {...finding, problem: 'freeze_reason_wrong_type', what: `a Redis ${facts.type}`, effect, answer: 500, repair},
    ];
  }
  if (!isUtf8Text(text) && otherTtl !== NO_KEY) {
    const effect = 'every request fails with HTTP 500 while the session is frozen';
    const what = `${quote(text)}, which is ${NOT_UTF8}`;
    const repair = repairOf(facts, 'delete it', 'delete');
    return [{...finding, problem: 'freeze_reason_not_text', what, effect, answer: 500, repair}];
  }
  if (otherTtl === NO_KEY && (ttl === NO_END || ttl > GRACE_MS)) {
    const repair = repairOf(facts, 'delete it', 'delete');
    repair.steps.push({shape: FROZEN_UNTIL_KEYS, expected: false, to: 'stay'});
    const effect = 'the session is not frozen';
    return [{...finding, problem: 'freeze_reason_without_freeze', what: 'a reason without a freeze', effect, repair}];
  }
  if (ttl !== NO_END || otherTtl < 0) return [];
  const repair = repairOf(facts, 'let it end with its freeze', {end: new Date(now.getTime() + otherTtl)});
  const effect = 'it stays after its freeze has ended';
  return [{...finding, problem: 'freeze_reason_without_ttl', what: 'a reason without a TTL', effect, repair}];
}

/** Judges a key that the gateway recreates when it is missing, with a TTL in milliseconds. */
function judgeRecord(facts: KeyFacts, name: Counter | 'last_hash', lifetime: number): Judged[] {
  const {text, ttl} = facts;
  if (text === null) return [brokenRecord(facts, `${name}_wrong_type`, `a Redis ${facts.type}`)];
  if (name !== 'last_hash' && parseCount(text) === null) {
    return [brokenRecord(facts, `${name}_not_count`, `${quote(text)}, which is not a count`)];
  }
  if (name === 'last_hash' && !isUtf8Text(text)) {
    return [brokenRecord(facts, 'last_hash_not_text', `${quote(text)}, which is ${NOT_UTF8}`)];
  }
  if (ttl !== NO_END) return [];
  const effect = 'it counts until a request comes, however late';
  const repair = repairOf(facts, `let it end in ${lifetime / 1000} s`, {end: lifetime});
  return [
    {
      ...nameFinding(facts),
      problem: `${name}_without_ttl`,
      what: 'a record without a TTL',
      effect,
      answer: null,
      repair,
      advice: [],
    },
  ];
}

/** The gateway looks at the count of identical requests only when an identical one comes. */
function brokenRecord(facts: KeyFacts, problem: Problem, what: string): Judged {
  const effect =
    facts.shape === IDENTICAL_COUNT_KEYS
      ? 'a request that is the same as the last fails with HTTP 500'
      : FAILS_500.effect;
  // For a value that is not text, a repair can't tell whether it is still the one that was found.
  const isText = facts.shape !== HISTORY_KEYS && facts.shape !== VELOCITY_KEYS;
  const isSure = isText || facts.text !== null;
  return {
    ...nameFinding(facts),
    answer: facts.shape === IDENTICAL_COUNT_KEYS ? null : 500,
    problem,
    what,
    effect,
    repair: isSure ? repairOf(facts, 'delete it', 'delete') : null,
    advice: isSure ? [] : ['delete_key'],
  };
}

export function judgeId(key: SessionKey, isPrintable: (text: string) => boolean): Finding | undefined {
  const {id} = key;
  const isKnown = isText(key.id);
  if (isKnown && isPrintable(nameOf(key.id))) return undefined;
  return {
    id,
    key: nameOfKey(key),
    ...NO_REPAIR,
    answer: null,
    problem: isKnown ? 'id_not_printable' : 'id_not_text',
    what: isKnown ? 'an ID with characters that are not printable' : 'an ID that is not UTF-8',
    effect: isKnown
      ? 'a program that prints it unescaped may be misled'
      : 'no API client can have sent it, and no command can name it',
  };
}

/** A number beyond all money counts as infinite. */
function readAmount(text: string): Money | 'not_money' | 'infinite' {
  const amount = parseStoredMoney(utf8(text));
  if (amount !== undefined) return amount;
  const number = parseGatewayNumber(utf8(text));
  return number === undefined || number === 'nan' ? 'not_money' : 'infinite';
}

/**
 * The gateway fails on an amount that is not text like on any key, and on a text that is not an amount in its check of
 * the budget.
 */
function failsOn(text: string): Pick<Finding, 'answer' | 'effect'> {
  return isUtf8Text(text) ? FAILS_503 : FAILS_500;
}

function notMoney(text: string): string {
  return `${quote(text)}, which is not an amount`;
}
