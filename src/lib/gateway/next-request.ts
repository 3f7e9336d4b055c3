import {type Command, ErrorReply, type Redis} from '../redis/contract.js';
import {toServerTime} from '../redis/server-time.js';
import {Decimal} from '../values/decimal.js';
import {type Money, parseAmount, roundUpToCents, toPlainDigits, ZERO} from '../values/money.js';
import {nameOf, type RawId} from '../values/session-id.js';
import {IDENTICAL_LIMIT, readCount, REQUEST_LIMIT} from './anomaly-stats.js';
import {type HeldMoney, judgeBudget} from './budget-judgement.js';
import {FOREVER, judgeFreeze} from './freeze.js';
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
import {decodeText, NOT_UTF8, quoteStart, WRONG_TYPE} from './stored-text.js';
import {type Held, toHeldText} from './stored-value.js';

/** The rules by which the gateway judges a request, in its order; it answers by the first that refuses. */
export type Rule = FreezeRule | RequestRateRule | LoopRule | VelocityRule | HistoryRule | BudgetRule;

interface Judged {
  /**
   * `close`: passes, but is close to a refusal. `not_recorded`: the gateway records nothing about it, and it passes.
   */
  verdict: 'passes' | 'close' | 'refuses' | 'not_recorded';
  /** The HTTP status with which the gateway refuses; null when it does not. 500 and 503 mean that it fails. */
  answer: 429 | 500 | 503 | null;
  /** When the refusal ends by itself if no request comes before; null when it does not end. */
  until: Date | null;
  /** A value in Redis that the gateway can't use, as in "because …". May hold untrusted text. */
  problem: string | null;
}

export interface FreezeRule extends Judged {
  rule: 'freeze';
  /** The end of a current freeze; null without one, or when it can't be read. */
  frozenUntil: Date | null;
  /** Untrusted text. */
  reason: string | null;
  /** The end of a freeze that is over: the gateway clears it at the next request. Null without one. */
  endedAt: Date | null;
}

export interface RequestRateRule extends Judged {
  rule: 'request_rate';
  /** Requests since the last 60 s without one, not counting the next; null when it is not a count. */
  count: number | null;
  /** When the count starts again if no request comes before. */
  countUntil: Date | null;
}

export interface LoopRule extends Judged {
  rule: 'loop';
  /** Identical requests in a row after the first; null when it is not a count. */
  count: number | null;
  /** False when the last request is forgotten: then no request counts as identical. */
  isLastKnown: boolean;
  /**
   * The judgement of a request identical to the last one. When that is the question, it is the rule's own judgement.
   */
  ifRepeated: Judged;
}

/**
 * The gateway records a cost of 0 for each request, and forgets it at once: it refuses only because of values that
 * something else has written.
 */
interface VelocityRule extends Judged {
  rule: 'velocity';
}

/** Not a rule. But the gateway writes its history before it looks at the budget, and fails when it can't. */
interface HistoryRule extends Judged {
  rule: 'history';
}

export interface BudgetRule extends Judged {
  rule: 'budget';
  /** Null when it is not an amount: see `isUnlimited` and `problem`. */
  budget: Money | null;
  /** True without a budget in Redis: the gateway then gives the session its default. */
  isDefault: boolean;
  /** True when what is left is infinite: no request is ever refused. */
  isUnlimited: boolean;
  spent: Money | null;
  /** Never negative. */
  remaining: Money | null;
  /** How much the budget lacks for the next request, exactly; null when it lacks nothing, or no amount would help. */
  missing: Money | null;
}

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
  /** When the request will pass without any action; null when it passes now, or never will. */
  until: Date | null;
  /** True when the request passes, but the same request once more would be refused as a loop. */
  isLoopNext: boolean;
  /** The steps that make the request pass, all of them, in this order. Empty when it passes. */
  remedies: Remedy[];
}

export interface NextRequest {
  /** The gateway's estimate of the cost; null for any cost above 0. */
  cost: Money | null;
  /** True for a request identical to the last one. */
  isRepeated: boolean;
  /** The budget that the gateway gives a session without one. */
  defaultBudget: Money;
}

export type Remedy =
  /** Also clears the counters and the last request. */
  | {action: 'unfreeze'}
  /** Lets `check-store` repair the gateway's own records. */
  | {action: 'repair'}
  | {action: 'add_budget' | 'set_budget'; amount: Money}
  | {action: 'reset_spent'}
  /** Nothing here removes such a key. */
  | {action: 'delete_key'; shape: KeyShape};

/** From this percentage on, a limit or a budget counts as `close`. */
const CLOSE_PERCENT = 80;

/** Added on top of the amount spent when a command has to name an amount, and the cost of a request is not known. */
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

/** The values of one session that the gateway looks at. */
export interface SessionState {
  id: RawId;
  values: Record<keyof typeof SHAPES, Held>;
  /** In milliseconds; negative for a key without a TTL, or without a value. */
  ttls: Record<(typeof TTLS)[number] | 'velocity', number>;
  /** Redis's names of types; `none` where there is no key. */
  types: {velocity: string; history: string};
  /** The members of the velocity with the highest scores, highest first. */
  velocity: {member: string; score: number}[];
}

/** How many members of the velocity to look at; the gateway leaves none in it. */
const VELOCITY_MEMBERS = 100;

/** Reads in one flight what the gateway would look at for each session, and the server's time. */
export async function readStates(redis: Redis, ids: readonly RawId[]): Promise<{now: Date; states: SessionState[]}> {
  const commands = ids.flatMap((id): Command[] => [
    ...VALUES.map((name) => ['GET', keyOf(SHAPES[name], id)]),
    ...TTLS.map((name) => ['PTTL', keyOf(SHAPES[name], id)]),
    ['PTTL', keyOf(VELOCITY_KEYS, id)],
    ['TYPE', keyOf(VELOCITY_KEYS, id)],
    ['TYPE', keyOf(HISTORY_KEYS, id)],
    ['ZREVRANGE', keyOf(VELOCITY_KEYS, id), '0', String(VELOCITY_MEMBERS - 1), 'WITHSCORES'],
  ]);
  const [time, ...replies] = await redis.pipelineBytes([['TIME'], ...commands]);
  const next = replies.values();
  const take = <Name extends string, T>(names: readonly Name[], read: (reply: unknown) => T): Record<Name, T> =>
    Object.fromEntries(names.map((name) => [name, read(next.next().value)])) as Record<Name, T>;
  const accept = (reply: unknown): unknown => {
    if (reply instanceof ErrorReply && !reply.message.includes('WRONGTYPE')) throw redis.explain(reply);
    return reply;
  };
  const states = ids.map((id): SessionState => ({
    id,
    values: take(VALUES, (reply) => toHeldText(redis, reply)),
    ttls: take([...TTLS, 'velocity'], (reply) => Number(accept(reply))),
    types: take(['velocity', 'history'], (reply) => String(accept(reply))),
    velocity: readVelocity(redis, next.next().value),
  }));
  return {now: toServerTime(redis, time), states};
}

/** For a user who may not run ZREVRANGE it counts as empty, as it always is. */
function readVelocity(redis: Redis, reply: unknown): SessionState['velocity'] {
  if (reply instanceof ErrorReply) {
    if (reply.message.includes('WRONGTYPE') || /^NOPERM.*zrevrange/i.test(reply.message)) return [];
    throw redis.explain(reply);
  }
  const parts = reply as Buffer[];
  return parts.flatMap((member, index) => {
    if (index % 2 === 1) return [];
    const score = String(parts[index + 1]).replace('inf', 'Infinity');
    return [{member: decodeText(member), score: Number(score)}];
  });
}

/** Reads what the gateway would look at, in one flight, and judges the next request. */
export async function explainSession(redis: Redis, id: RawId, request: NextRequest): Promise<Decision> {
  const {now, states} = await readStates(redis, [id]);
  const [state] = states;
  if (state === undefined) throw new RangeError('no state was read');
  return judgeNextRequest(state, request, now);
}

/**
 * Judges the next request as the gateway would: the same rules in the same order. The tests hold it against recorded
 * answers of a running gateway.
 */
export function judgeNextRequest(state: SessionState, request: NextRequest, now: Date): Decision {
  const {velocity, history} = state.types;
  const loop = judgeLoop(state, request, now);
  const budget = toBudgetRule(state.values, request);
  const rules: Rule[] = [
    toFreezeRule(state, now),
    judgeRequestRate(state, now),
    loop,
    {rule: 'velocity', ...judgeVelocity(state, now)},
    ...(isTypeOf(history, 'list') ? [] : [{rule: 'history' as const, ...failing(`the history is a Redis ${history}`)}]),
    budget,
  ];
  const refusals = rules.filter(({verdict}) => verdict === 'refuses');
  const [first] = refusals;
  const end = Math.max(...refusals.map(({until}) => until?.getTime() ?? Infinity));
  return {
    id: nameOf(state.id),
    key: state.id,
    now,
    isKnown: velocity !== 'none' || history !== 'none' || VALUES.some((name) => state.values[name] !== false),
    request,
    rules,
    passes: first === undefined,
    refusedBy: first?.rule ?? null,
    answer: first?.answer ?? null,
    until: Number.isFinite(end) ? new Date(end) : null,
    isLoopNext: first === undefined && !request.isRepeated && loop.ifRepeated.verdict === 'refuses',
    remedies: findRemedies(refusals, state, request),
  };
}

const PASSES: Judged = {verdict: 'passes', answer: null, until: null, problem: null};
const NOT_RECORDED: Judged = {...PASSES, verdict: 'not_recorded'};

/** A failure with HTTP 500: the gateway's answer to any value that it does not expect before it looks at the budget. */
function failing(problem: string, until: Date | null = null): Judged {
  return {verdict: 'refuses', answer: 500, until, problem};
}

function toFreezeRule({values, ttls}: SessionState, now: Date): FreezeRule {
  const judgement = judgeFreeze(values.frozenUntil, values.reason, now);
  const none = {rule: 'freeze' as const, frozenUntil: null, reason: null, endedAt: null};
  if (judgement.state === 'none') return {...none, ...PASSES};
  if (judgement.state === 'over') return {...none, ...PASSES, endedAt: judgement.at};
  const keyEnd = expiry(now, ttls.frozenUntil);
  const {at} = judgement;
  const reason = typeof values.reason === 'string' ? values.reason : null;
  const end = keyEnd !== null && (at === null || keyEnd < at) ? keyEnd : at;
  const until = at?.getTime() === FOREVER.getTime() && keyEnd === null ? null : end;
  const rule = {...none, frozenUntil: at, reason};
  if (judgement.state === 'frozen') return {...rule, verdict: 'refuses', answer: 429, until, problem: null};
  return {...rule, ...failing(`the ${judgement.of} of the freeze is ${judgement.problem}`, until)};
}

function judgeRequestRate({values, ttls}: SessionState, now: Date): RequestRateRule {
  const countUntil = expiry(now, ttls.requests);
  const count = readCount(values.requests);
  const rule = {rule: 'request_rate' as const, count, countUntil};
  if (count === null)
    return {...rule, ...failing(`the request count is ${describeNoCount(values.requests)}`, countUntil)};
  if (count + 1 > REQUEST_LIMIT) return {...rule, verdict: 'refuses', answer: 429, until: countUntil, problem: null};
  return {...rule, ...PASSES, verdict: count * 100 >= REQUEST_LIMIT * CLOSE_PERCENT ? 'close' : 'passes'};
}

/** A request that differs from the last one clears the count, whatever that is. */
function judgeLoop({values, ttls}: SessionState, {isRepeated}: NextRequest, now: Date): LoopRule {
  const hashEnd = expiry(now, ttls.lastHash);
  const isLastKnown = values.lastHash !== false;
  const count = readCount(values.identical);
  const rule = {rule: 'loop' as const, count, isLastKnown};
  const isText = typeof values.lastHash !== 'string' || values.lastHash.isWellFormed();
  if (values.lastHash === true || !isText) {
    const what = isText ? WRONG_TYPE : NOT_UTF8;
    const broken = failing(`the record of the last request is ${what}`, hashEnd);
    return {...rule, ...broken, ifRepeated: broken};
  }
  // Once either key has expired, a request counts as different from the last, or as the first identical one.
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

/** How long the gateway remembers spending, in milliseconds. */
const VELOCITY_MS = 60_000;

/**
 * The gateway uses the cost of each request, always 0, as the time of the request. What it finds left of the last
 * minute is then a time, and that number exceeds any limit on spending.
 */
function judgeVelocity({types, velocity, ttls}: SessionState, now: Date): Judged {
  const end = expiry(now, ttls.velocity);
  if (!isTypeOf(types.velocity, 'zset')) return failing(`the record of spending is a Redis ${types.velocity}`, end);
  const broken = velocity.find(({member}) => !member.isWellFormed());
  if (broken !== undefined) {
    return failing(`the record of spending has ${quoteStart(broken.member)}, which is ${NOT_UTF8}`, end);
  }
  const highest = (velocity[0]?.score ?? -Infinity) * 1000;
  if (highest <= now.getTime() - VELOCITY_MS) return NOT_RECORDED;
  const forgotten = Number.isFinite(highest) && highest < FOREVER.getTime() ? new Date(highest + VELOCITY_MS) : null;
  return {verdict: 'refuses', answer: 429, until: earlier(forgotten, end), problem: null};
}

function toBudgetRule(values: HeldMoney, request: NextRequest): BudgetRule {
  const {cost} = request;
  const {answer, problem, budget, spent, left, isUnlimited} = judgeBudget(values, request);
  const isRefused = answer === 429 && left !== null;
  const isClose = left
    ?.minus(cost ?? ZERO)
    .times(100)
    .lte((budget ?? ZERO).times(100 - CLOSE_PERCENT));
  return {
    rule: 'budget',
    verdict: answer !== null ? 'refuses' : isClose === true && budget !== null ? 'close' : 'passes',
    answer,
    until: null,
    problem,
    budget,
    isDefault: values.budget === false,
    isUnlimited,
    spent,
    remaining: left?.lt(ZERO) ? ZERO : left,
    missing: isRefused ? missingFor(left, cost) : null,
  };
}

function findRemedies(refusals: readonly Rule[], {values, types}: SessionState, request: NextRequest): Remedy[] {
  const refuses = (...names: Rule['rule'][]): boolean => refusals.some(({rule}) => names.includes(rule));
  const remedies: Remedy[] = [];
  if (refuses('freeze', 'request_rate', 'loop')) remedies.push({action: 'unfreeze'});
  for (const [rule, shape] of [
    ['velocity', VELOCITY_KEYS],
    ['history', HISTORY_KEYS],
  ] as const) {
    // For any other type, what was meant is not certain.
    if (!refuses(rule)) continue;
    if (types[rule] !== 'string') remedies.push({action: 'delete_key', shape});
    // One repair covers all keys.
    else if (remedies.every(({action}) => action !== 'repair')) remedies.push({action: 'repair'});
  }
  return refuses('budget') ? [...remedies, ...findBudgetRemedies(values, request)] : remedies;
}

/** The first plan after which the request passes. Each plan is judged, since for some amounts it would not help. */
function findBudgetRemedies(values: HeldMoney, request: NextRequest): Remedy[] {
  const removal: Remedy = values.spent === true ? {action: 'delete_key', shape: SPENT_KEYS} : {action: 'reset_spent'};
  const plans = [
    {first: [], held: values},
    {first: [removal], held: {...values, spent: false}},
  ].flatMap(({first, held}) => {
    const rule = toBudgetRule(held, request);
    return [
      {remedies: first, held},
      ...raisings(rule, request).map((raising) => ({
        remedies: [...first, raising.remedy],
        held: {...held, budget: toPlainDigits(raising.budget)},
      })),
    ];
  });
  return plans.find(({held}) => toBudgetRule(held, request).verdict !== 'refuses')?.remedies ?? [];
}

/** The commands that raise a budget, if they take the amount. */
function raisings(
  {budget, isDefault, spent, missing}: BudgetRule,
  {cost}: NextRequest,
): {remedy: Remedy; budget: Money}[] {
  const found: {remedy: Remedy; budget: Money}[] = [];
  const add = missing === null || isDefault || budget === null ? null : roundUpToCents(missing);
  if (add !== null && budget !== null && isTyped(add) && budget.plus(add).gte(ZERO)) {
    found.push({remedy: {action: 'add_budget', amount: add}, budget: budget.plus(add)});
  }
  const needed = roundUpToCents((spent ?? ZERO).plus(cost ?? MARGIN));
  const set = needed.lt(ZERO) ? ZERO : needed;
  if (isTyped(set)) found.push({remedy: {action: 'set_budget', amount: set}, budget: set});
  return found;
}

/** True for an amount that an operator can type. */
function isTyped(amount: Money): boolean {
  try {
    parseAmount(toPlainDigits(amount));
    return true;
  } catch {
    return false;
  }
}

/** How much is missing. Every request costs something, so with nothing left no request passes. */
function missingFor(left: Money, cost: Money | null): Money {
  return (cost ?? MARGIN).minus(left);
}

function describeNoCount(stored: Held): string {
  return typeof stored === 'string' ? `${quoteStart(stored)}, which is not a count` : WRONG_TYPE;
}

function isTypeOf(type: string, wanted: string): boolean {
  return type === 'none' || type === wanted;
}

/** Null for a key without a TTL. */
function expiry(now: Date, ttl: number): Date | null {
  return ttl < 0 ? null : new Date(now.getTime() + ttl);
}

function earlier(one: Date | null, other: Date | null): Date | null {
  if (one === null || other === null) return one ?? other;
  return one < other ? one : other;
}
