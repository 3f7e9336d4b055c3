import {type Command, ErrorReply, type Redis} from '../redis/contract.js';
import {toServerTime} from '../redis/server-time.js';
import {Decimal} from '../values/decimal.js';
import {type StoredNumber, type Money, parseStoredNumber, roundUpToCents, ZERO} from '../values/money.js';
import {nameOf, type RawId} from '../values/session-id.js';
import {parseGatewayTime} from '../values/time.js';
import {IDENTICAL_LIMIT, parseCount, REQUEST_LIMIT} from './anomaly-stats.js';
import {FOREVER} from './freeze.js';
import {
  BUDGET_KEYS,
  FREEZE_REASON_KEYS,
  FROZEN_UNTIL_KEYS,
  HISTORY_KEYS,
  IDENTICAL_COUNT_KEYS,
  keyOf,
  type KeyShape,
  LAST_HASH_KEYS,
  REQUEST_COUNT_KEYS,
  SPENT_KEYS,
  VELOCITY_KEYS,
} from './keys.js';
import {quoteStart} from './stored-amount.js';

/** The rules by which the gateway judges a request, in its order; it answers by the first that refuses. */
export type Rule = FreezeRule | RequestRateRule | LoopRule | VelocityRule | HistoryRule | BudgetRule;

interface Judged {
  /** `close`: it passes, and is not far from being refused. `not_recorded`: nothing is known of it, and it passes. */
  verdict: 'passes' | 'close' | 'refuses' | 'not_recorded';
  /** The HTTP status with which the gateway refuses; null when it does not. 500 and 503 mean that it fails. */
  answer: 429 | 500 | 503 | null;
  /** When a refusal ends by itself, if no request comes before; null when it does not. */
  until: Date | null;
  /** What stands in Redis that the gateway can't use, as in "because …". May hold untrusted text. */
  problem: string | null;
}

export interface FreezeRule extends Judged {
  rule: 'freeze';
  /** The end of a freeze that holds now; null without one, or when it can't be read. */
  frozenUntil: Date | null;
  /** Untrusted text. */
  reason: string | null;
  /** The end of a freeze that has passed: the gateway clears it at the next request. Null without one. */
  endedAt: Date | null;
}

export interface RequestRateRule extends Judged {
  rule: 'request_rate';
  /** Requests since the last 60 s without one, without the next; null when it is no count. */
  count: number | null;
  /** When the count begins anew, if no request comes before. */
  countUntil: Date | null;
}

export interface LoopRule extends Judged {
  rule: 'loop';
  /** Identical requests in a row after the first; null when it is no count. */
  count: number | null;
  /** False when the last request is forgotten: then no request counts as the same. */
  isLastKnown: boolean;
  /** What a request that is the same as the last meets; that rule's own judgement when it is asked about one. */
  ifRepeated: Judged;
}

/** The gateway adds up nothing that it could refuse by: it records each request's cost as 0, and forgets it at once. */
interface VelocityRule extends Judged {
  rule: 'velocity';
}

/** No rule, but the gateway writes its history before it looks at the budget, and fails when it can't. */
interface HistoryRule extends Judged {
  rule: 'history';
}

export interface BudgetRule extends Judged {
  rule: 'budget';
  /** Null when it is not an amount: `isUnlimited`, or `problem`. */
  budget: Money | null;
  /** There is none: the gateway gives the session its default. */
  isDefault: boolean;
  /** Infinite, less nothing: no request is ever refused. */
  isUnlimited: boolean;
  spent: Money | null;
  /** Never negative. */
  remaining: Money | null;
  /** What the budget lacks for the next request, exactly; null when it lacks nothing or no amount would do. */
  missing: Money | null;
}

/** What a gateway without a setting of its own gives a session at its first request. */
export const DEFAULT_BUDGET: Money = Decimal.of(10);

/** What the gateway would do with the next request, and why. */
export interface Decision {
  id: string;
  key: RawId;
  /** By the server's clock. */
  now: Date;
  /** False when Redis holds nothing at all for this ID. */
  isKnown: boolean;
  request: NextRequest;
  rules: Rule[];
  passes: boolean;
  /** The rule that answers; null when the request passes. */
  refusedBy: Rule['rule'] | null;
  answer: Judged['answer'];
  /** When the request would pass without anybody's doing; null when it passes now, or never would. */
  until: Date | null;
  /** True when the request passes, and the same request once more would be refused as a loop. */
  isLoopNext: boolean;
  /** What makes the request pass, all of it, in this order. Empty when it passes. */
  remedies: Remedy[];
}

export interface NextRequest {
  /** What the gateway estimates that it costs; null for any cost above 0. */
  cost: Money | null;
  /** It is the same as the last one. */
  isRepeated: boolean;
  /** What the gateway gives a session without a budget. */
  defaultBudget: Money;
}

export type Remedy =
  /** Clears the counters and the last request, too. */
  | {action: 'unfreeze'}
  /** Lets `check-store` repair the gateway's own records. */
  | {action: 'repair'}
  | {action: 'add_budget' | 'set_budget'; amount: Money}
  | {action: 'reset_spent'}
  /** Nothing here removes such a key. */
  | {action: 'delete_key'; shape: KeyShape};

/** Of a limit, or of a budget, so much used is close to it. */
const CLOSE_PERCENT = 80;

/** What a command that has to name an amount adds on top of what is spent, when the cost of a request is not known. */
const MARGIN: Money = Decimal.of(1);

const SHAPES = {
  frozenUntil: FROZEN_UNTIL_KEYS,
  reason: FREEZE_REASON_KEYS,
  requests: REQUEST_COUNT_KEYS,
  lastHash: LAST_HASH_KEYS,
  identical: IDENTICAL_COUNT_KEYS,
  budget: BUDGET_KEYS,
  spent: SPENT_KEYS,
} as const;
const VALUES = Object.keys(SHAPES) as (keyof typeof SHAPES)[];
const TTLS = ['frozenUntil', 'requests', 'lastHash', 'identical'] as const;

const WRONG_TYPE = Symbol('a key that GET does not read');

/** Null where there is no key. */
type Stored = string | typeof WRONG_TYPE | null;

/** What the gateway looks at. */
interface DecisionFacts {
  id: RawId;
  values: Record<keyof typeof SHAPES, Stored>;
  /** Milliseconds; negative for a key that has no end, or is not there. */
  ttls: Record<(typeof TTLS)[number], number>;
  /** Redis's names of types; `none` where there is no key. */
  types: {velocity: string; history: string};
}

/** Reads what the gateway would look at, in one flight, and judges the next request. */
export async function explainSession(redis: Redis, id: RawId, request: NextRequest): Promise<Decision> {
  const commands: Command[] = [
    ['TIME'],
    ...VALUES.map((name) => ['GET', keyOf(SHAPES[name], id)]),
    ...TTLS.map((name) => ['PTTL', keyOf(SHAPES[name], id)]),
    ['TYPE', keyOf(VELOCITY_KEYS, id)],
    ['TYPE', keyOf(HISTORY_KEYS, id)],
  ];
  const [time, ...rest] = await redis.pipeline(commands);
  const replies = rest.map((reply) => {
    if (!(reply instanceof ErrorReply)) return reply as string | number | null;
    if (reply.message.includes('WRONGTYPE')) return WRONG_TYPE;
    throw redis.explain(reply);
  });
  const next = replies.values();
  const take = <Name extends string, T>(names: readonly Name[]): Record<Name, T> =>
    Object.fromEntries(names.map((name) => [name, next.next().value])) as Record<Name, T>;
  const facts: DecisionFacts = {id, values: take(VALUES), ttls: take(TTLS), types: take(['velocity', 'history'])};
  return decide(facts, request, toServerTime(redis, time));
}

/** Judges the next request as the gateway would. */
function decide(facts: DecisionFacts, request: NextRequest, now: Date): Decision {
  const {velocity, history} = facts.types;
  const loop = judgeLoop(facts, request, now);
  const budget = judgeBudget(facts, request);
  const rules: Rule[] = [
    judgeFreeze(facts, now),
    judgeRequestRate(facts, now),
    loop,
    {
      rule: 'velocity',
      ...(isTypeOf(velocity, 'zset') ? NOT_RECORDED : failing(`the record of spending is a Redis ${velocity}`)),
    },
    ...(isTypeOf(history, 'list') ? [] : [{rule: 'history' as const, ...failing(`the history is a Redis ${history}`)}]),
    budget,
  ];
  const refusals = rules.filter(({verdict}) => verdict === 'refuses');
  const [first] = refusals;
  const end = Math.max(...refusals.map(({until}) => until?.getTime() ?? Infinity));
  return {
    id: nameOf(facts.id),
    key: facts.id,
    now,
    isKnown: velocity !== 'none' || history !== 'none' || VALUES.some((name) => facts.values[name] !== null),
    request,
    rules,
    passes: first === undefined,
    refusedBy: first?.rule ?? null,
    answer: first?.answer ?? null,
    until: Number.isFinite(end) ? new Date(end) : null,
    isLoopNext: first === undefined && !request.isRepeated && loop.ifRepeated.verdict === 'refuses',
    remedies: findRemedies(refusals, budget, facts, request),
  };
}

const PASSES: Judged = {verdict: 'passes', answer: null, until: null, problem: null};
const NOT_RECORDED: Judged = {...PASSES, verdict: 'not_recorded'};
const OF_WRONG_TYPE = 'of a wrong Redis type';

/** The gateway answers with HTTP 500 to what it did not expect before it looks at the budget. */
function failing(problem: string, until: Date | null = null): Judged {
  return {verdict: 'refuses', answer: 500, until, problem};
}

function judgeFreeze({values, ttls}: DecisionFacts, now: Date): FreezeRule {
  const {frozenUntil: stored, reason} = values;
  const none = {rule: 'freeze' as const, frozenUntil: null, reason: null, endedAt: null};
  if (stored === null) return {...none, ...PASSES};
  const keyEnd = expiry(now, ttls.frozenUntil);
  const known = {...none, reason: typeof reason === 'string' ? reason : null};
  if (typeof stored !== 'string') return {...known, ...failing(`the end of the freeze is ${OF_WRONG_TYPE}`, keyEnd)};
  const time = parseGatewayTime(stored);
  if (time.kind !== 'time') {
    const offset = time.kind === 'offset' ? ', with an offset' : '';
    return {...known, ...failing(`the end of the freeze is ${quoteStart(stored)}${offset}`, keyEnd)};
  }
  if (time.at <= now) return {...none, ...PASSES, endedAt: time.at};
  const end = keyEnd !== null && keyEnd < time.at ? keyEnd : time.at;
  const until = time.at.getTime() === FOREVER.getTime() && keyEnd === null ? null : end;
  const frozen = {...known, frozenUntil: time.at};
  if (reason === WRONG_TYPE) return {...frozen, ...failing(`the reason of the freeze is ${OF_WRONG_TYPE}`, until)};
  return {...frozen, verdict: 'refuses', answer: 429, until, problem: null};
}

function judgeRequestRate({values, ttls}: DecisionFacts, now: Date): RequestRateRule {
  const countUntil = expiry(now, ttls.requests);
  const count = readCount(values.requests);
  const rule = {rule: 'request_rate' as const, count, countUntil};
  if (count === null)
    return {...rule, ...failing(`the request count is ${describeNoCount(values.requests)}`, countUntil)};
  if (count + 1 > REQUEST_LIMIT) return {...rule, verdict: 'refuses', answer: 429, until: countUntil, problem: null};
  return {...rule, ...PASSES, verdict: count * 100 >= REQUEST_LIMIT * CLOSE_PERCENT ? 'close' : 'passes'};
}

/** A request that is not the same as the last clears the count, whatever it is. */
function judgeLoop({values, ttls}: DecisionFacts, {isRepeated}: NextRequest, now: Date): LoopRule {
  const hashEnd = expiry(now, ttls.lastHash);
  const isLastKnown = values.lastHash !== null;
  const count = readCount(values.identical);
  const rule = {rule: 'loop' as const, count, isLastKnown};
  if (values.lastHash === WRONG_TYPE) {
    const broken = failing(`the record of the last request is ${OF_WRONG_TYPE}`, hashEnd);
    return {...rule, ...broken, ifRepeated: broken};
  }
  // Once either of the two is gone, a request is not the same as the last, or is the first that is.
  const until = earlier(hashEnd, expiry(now, ttls.identical));
  let ifRepeated = PASSES;
  if (isLastKnown && count === null)
    ifRepeated = failing(`the count of identical requests is ${describeNoCount(values.identical)}`, until);
  else if (isLastKnown && (count ?? 0) + 1 >= IDENTICAL_LIMIT) {
    ifRepeated = {verdict: 'refuses', answer: 429, until, problem: null};
  }
  if (isRepeated) return {...rule, ...ifRepeated, ifRepeated};
  return {...rule, ...PASSES, verdict: ifRepeated.verdict === 'refuses' ? 'close' : 'passes', ifRepeated};
}

function judgeBudget({values}: DecisionFacts, request: NextRequest): BudgetRule {
  const isDefault = values.budget === null;
  const budget = isDefault ? request.defaultBudget : readNumber(values.budget);
  const spent = readNumber(values.spent);
  const rule: BudgetRule = {
    rule: 'budget',
    ...PASSES,
    budget: isAmount(budget) ? budget : null,
    isDefault,
    isUnlimited: false,
    spent: isAmount(spent) ? spent : null,
    remaining: null,
    missing: null,
  };
  const refusing = (answer: 429 | 503, problem: string): BudgetRule => ({...rule, verdict: 'refuses', answer, problem});
  if (budget === undefined || budget === 'nan') return refusing(503, `the budget is ${describeBad(values.budget)}`);
  if (spent === undefined || spent === 'nan') return refusing(503, `what is spent is ${describeBad(values.spent)}`);
  if (isAmount(budget) && isAmount(spent)) return judgeAmounts(rule, budget, spent, request);
  // Infinite less infinite is not a number, and a comparison with that fails.
  if (budget === spent) return refusing(503, 'the budget and what is spent are both infinite');
  if (budget === 'infinity' || spent === '-infinity') return {...rule, isUnlimited: true};
  return refusing(429, isAmount(budget) ? 'what is spent is infinite' : 'the budget is below all that could be spent');
}

function judgeAmounts(rule: BudgetRule, budget: Money, spent: Money, {cost}: NextRequest): BudgetRule {
  const left = budget.minus(spent);
  const facts = {...rule, remaining: left.lt(ZERO) ? ZERO : left};
  const missing = missingFor(left, cost);
  if (missing !== null) return {...facts, verdict: 'refuses', answer: 429, missing};
  const isClose = left
    .minus(cost ?? ZERO)
    .times(100)
    .lte(budget.times(100 - CLOSE_PERCENT));
  return {...facts, verdict: isClose ? 'close' : 'passes'};
}

function findRemedies(
  refusals: readonly Rule[],
  {budget, isDefault, spent, missing}: BudgetRule,
  {values, types}: DecisionFacts,
  {cost}: NextRequest,
): Remedy[] {
  const refuses = (...names: Rule['rule'][]): boolean => refusals.some(({rule}) => names.includes(rule));
  const remedies: Remedy[] = [];
  if (refuses('freeze', 'request_rate', 'loop')) remedies.push({action: 'unfreeze'});
  for (const [rule, shape] of [
    ['velocity', VELOCITY_KEYS],
    ['history', HISTORY_KEYS],
  ] as const) {
    // Of any other type it is not sure what is meant.
    if (!refuses(rule)) continue;
    if (types[rule] !== 'string') remedies.push({action: 'delete_key', shape});
    // One repair is of all keys.
    else if (remedies.every(({action}) => action !== 'repair')) remedies.push({action: 'repair'});
  }
  if (!refuses('budget')) return remedies;
  if (spent === null) {
    remedies.push(values.spent === WRONG_TYPE ? {action: 'delete_key', shape: SPENT_KEYS} : {action: 'reset_spent'});
  }
  const lacking = spent === null && budget !== null ? missingFor(budget, cost) : missing;
  const isAdded = budget !== null && !isDefault;
  if (isAdded && lacking !== null) remedies.push({action: 'add_budget', amount: roundUpToCents(lacking)});
  const isSet = isDefault ? lacking !== null : budget === null && readNumber(values.budget) !== 'infinity';
  if (isSet) remedies.push({action: 'set_budget', amount: roundUpToCents((spent ?? ZERO).plus(cost ?? MARGIN))});
  return remedies;
}

/** Null when what is left is enough. Every request costs something, so nothing left is never enough for one. */
function missingFor(left: Money, cost: Money | null): Money | null {
  if (cost === null) return left.gt(ZERO) ? null : MARGIN.minus(left);
  return left.gte(cost) ? null : cost.minus(left);
}

function readNumber(stored: Stored): StoredNumber | undefined {
  if (stored === null) return ZERO;
  return stored === WRONG_TYPE ? undefined : parseStoredNumber(stored);
}

function isAmount(value: StoredNumber | undefined): value is Money {
  return typeof value === 'object';
}

function describeBad(stored: Stored): string {
  return typeof stored === 'string' ? `${quoteStart(stored)}, which is not an amount` : OF_WRONG_TYPE;
}

function readCount(stored: Stored): number | null {
  if (stored === null) return 0;
  return stored === WRONG_TYPE ? null : parseCount(stored);
}

function describeNoCount(stored: Stored): string {
  return typeof stored === 'string' ? `${quoteStart(stored)}, which is not a count` : OF_WRONG_TYPE;
}

function isTypeOf(type: string, wanted: string): boolean {
  return type === 'none' || type === wanted;
}

/** Null for a key that has no end. */
function expiry(now: Date, ttl: number): Date | null {
  return ttl < 0 ? null : new Date(now.getTime() + ttl);
}

function earlier(one: Date | null, other: Date | null): Date | null {
  if (one === null || other === null) return one ?? other;
  return one < other ? one : other;
}
