import {type FreezeState, NOT_FROZEN} from '../gateway/freeze.js';
import {BUDGET_KEYS} from '../gateway/keys.js';
import type {Session} from '../gateway/session.js';
import {forecastEmpty} from '../periods/forecast.js';
import type {Renewing} from '../periods/renewal.js';
import type {Redis} from '../redis/contract.js';
import type {Filter} from '../sessions/filter.js';
import {mayPass} from '../sessions/filter.js';
import {readRenewing} from '../sessions/periods.js';
import {readFreezes, readSessions} from '../sessions/read.js';
import {scanIds} from '../sessions/scan-ids.js';
import {Decimal} from '../values/decimal.js';
import {TokengateError} from '../values/errors.js';
import {type Money, parseStoredMoney, ZERO} from '../values/money.js';
import {nameOf, type RawId} from '../values/session-id.js';

export type Severity = 'warning' | 'critical';

/** The rules, by the names that scripts see. */
export type RuleKind =
  'used' | 'left' | 'rate' | 'empties' | 'frozen' | 'overdue' | 'unreadable_money' | 'unreadable_freeze';

export interface LimitRule {
  kind: RuleKind;
  /** In percent for `used`, USD for `left`, USD a minute for `rate`, seconds for `empties`. */
  threshold: Money | null;
  severity: Severity;
}

/** The facts about one session. */
export interface Subject {
  id: string;
  key: RawId;
  /** Null without a budget. */
  session: Session | null;
  /** Null when the caller did not ask for it. */
  freeze: FreezeState | null;
  /**
   * The state of its period: null if it cannot be read, undefined if its budget does not renew, or if no rule asked for
   * it.
   */
  renewing?: Renewing | null | undefined;
  /** Seconds until its budget is empty, or `lasts`; null for never, undefined if it is not known. */
  emptyIn?: number | 'lasts' | null | undefined;
}

/** One rule that holds for a session. Of several thresholds of a kind it is the most severe. */
export interface LimitFinding {
  subject: Subject;
  rule: LimitRule;
  /** This rule and the less severe thresholds of its kind, which hold too. */
  rules: LimitRule[];
}

export interface CheckOptions {
  rules: readonly LimitRule[];
  /** A Redis glob over IDs. */
  match?: string | undefined;
  where?: Filter | undefined;
  now: Date;
  /** How late a renewal may be, in milliseconds; a quarter of an hour by default. */
  graceMs?: number | undefined;
  /** Also reads periods without a rule about them. */
  withPeriods?: boolean;
  /** What sessions spend, in USD a minute, for rules about it. */
  rates?: ReadonlyMap<RawId, Money | null> | undefined;
  /** What sessions spend according to the ledger, in USD a minute, for rules about when budgets are empty. */
  recordedRates?: ReadonlyMap<RawId, Money | null> | undefined;
  /** Receives every session that is read, including those that `where` leaves out. */
  onSubject?: (subject: Subject) => void;
}

export interface Check {
  /** The number of sessions that the rules were applied to. */
  checked: number;
  /** Most severe first, then by ID. */
  findings: LimitFinding[];
}

interface Thresholds {
  /** Percent of the budget. */
  warn: Money | null;
  crit: Money | null;
  /** The minimum amount left, in USD. */
  minLeft: Money | null;
  /** The maximum rate of spending, in USD a minute. */
  maxRate?: Money | null;
  /** Seconds. */
  emptyWithin?: number | null;
  frozen: boolean;
  overdue?: boolean;
}

/** @throws TokengateError INVALID_USAGE */
export function toRules({
  warn,
  crit,
  minLeft,
  maxRate = null,
  emptyWithin = null,
  frozen,
  overdue = false,
}: Thresholds): LimitRule[] {
  if (warn !== null && crit !== null && warn.gt(crit)) {
    const message = `--warn ${warn.toString()} is above --crit ${crit.toString()}.`;
    throw new TokengateError('INVALID_USAGE', message, {hint: 'Either can be given as "off".'});
  }
  if (minLeft?.eq(ZERO)) {
    throw new TokengateError('INVALID_USAGE', '--min-left 0 finds nothing: there is never less left.');
  }
  const rules: LimitRule[] = [];
  const add = (kind: RuleKind, severity: Severity, threshold: Money | null = null): void => {
    rules.push({kind, threshold, severity});
  };
  add('unreadable_money', 'critical');
  if (frozen) {
    add('unreadable_freeze', 'critical');
    add('frozen', 'critical');
  }
  if (overdue) add('overdue', 'critical');
  if (crit !== null) add('used', 'critical', crit);
  if (warn !== null) add('used', 'warning', warn);
  if (minLeft !== null) add('left', 'warning', minLeft);
  if (maxRate !== null) add('rate', 'warning', maxRate);
  if (emptyWithin !== null) add('empties', 'warning', Decimal.of(emptyWithin));
  return rules;
}

/**
 * Reads a share of a budget that an operator typed: percent, or `off`.
 *
 * @returns null for `off`
 * @throws TokengateError INVALID_PERCENTAGE
 */
export function parsePercentage(typed: string): Money | null {
  if (typed === 'off') return null;
  const value = /^\d{1,6}(\.\d{1,20})?%?$/.test(typed) ? parseStoredMoney(typed.replace('%', '')) : undefined;
  if (value === undefined || value.lte(ZERO)) {
    throw new TokengateError('INVALID_PERCENTAGE', `Invalid percentage '${typed}'.`, {
      hint: 'Write a number above 0, for example 80 or 99.5, or off.',
    });
  }
  return value;
}

/**
 * Applies rules to every session with a budget. Without a filter, rules about freezes and periods also apply to
 * sessions without one. An unreadable value never passes for fine: neither for a rule nor for a filter that uses it.
 */
export async function checkSessions(redis: Redis, options: CheckOptions): Promise<Check> {
  const {rules, match, where, now, rates, recordedRates, onSubject} = options;
  const aboutFreezes = rules.some(({kind}) => kind === 'frozen');
  const aboutPeriods = rules.some(({kind}) => kind === 'overdue');
  const findings: LimitFinding[] = [];
  let checked = 0;
  const check = (subject: Subject): void => {
    onSubject?.(subject);
    if (where !== undefined && (subject.session === null || !mayPass(where, subject.session))) return;
    checked++;
    findings.push(...findingsOf(subject, rules));
  };
  const freezes = aboutFreezes || where?.needsFrozen === true ? await readFreezes(redis, match, now) : undefined;
  const needsPeriods = aboutPeriods || recordedRates !== undefined || options.withPeriods === true;
  // Beside each other: Redis looks for periods while the IDs of sessions are sorted here.
  const [periods, ids] = await Promise.all([
    needsPeriods ? readRenewing(redis, {match, now, graceMs: options.graceMs}) : undefined,
    scanIds(redis, BUDGET_KEYS, match),
  ]);
  for await (const page of readSessions(redis, ids, 'skip')) {
    for (const session of page) {
      session.freeze = freezes === undefined ? null : (freezes.get(session.key) ?? NOT_FROZEN);
      freezes?.delete(session.key);
      if (rates !== undefined) session.rate = rates.get(session.key) ?? null;
      const renewing = periods?.get(session.key);
      const emptyIn = emptyInOf(session, recordedRates?.get(session.key) ?? null, renewing, now);
      check({id: session.id, key: session.key, session, freeze: session.freeze, renewing, emptyIn});
      periods?.delete(session.key);
    }
  }
  if (aboutFreezes && freezes !== undefined) {
    for (const [key, freeze] of freezes) check({id: nameOf(key), key, session: null, freeze});
  }
  if (aboutPeriods) {
    for (const [key, renewing] of periods ?? []) check({id: nameOf(key), key, session: null, freeze: null, renewing});
  }
  const rank = ({rule}: LimitFinding): number => (rule.severity === 'critical' ? 0 : 1);
  const order = (a: LimitFinding, b: LimitFinding): number => (a.subject.key < b.subject.key ? -1 : 1);
  findings.sort((a, b) => rank(a) - rank(b) || (a.subject.key === b.subject.key ? 0 : order(a, b)));
  return {checked, findings};
}

function emptyInOf(
  {remaining}: Session,
  rate: Money | null,
  renewing: Renewing | null | undefined,
  now: Date,
): Subject['emptyIn'] {
  if (remaining === null || rate === null) return undefined;
  const next = renewing?.next ?? null;
  return forecastEmpty(remaining, rate, next === null || next <= now ? null : (next.getTime() - now.getTime()) / 1000);
}

/** Null when it is not known. Compares percentages without a division, which would round. */
export function holds(
  {kind, threshold}: Pick<LimitRule, 'kind' | 'threshold'>,
  {session, freeze, renewing, emptyIn}: Subject,
): boolean | null {
  switch (kind) {
    case 'unreadable_money':
      return session !== null && (session.budget === null || session.spent === null);
    case 'unreadable_freeze':
      return freeze === null ? null : freeze.isFrozen === null;
    case 'frozen':
      return freeze?.isFrozen ?? null;
    case 'overdue':
      return renewing === undefined ? false : (renewing?.isOverdue ?? true);
    case 'left':
      return threshold === null ? null : (session?.remaining?.lt(threshold) ?? null);
    case 'rate':
      return threshold === null ? null : (session?.rate?.gt(threshold) ?? null);
    case 'empties':
      if (threshold === null || emptyIn === undefined) return null;
      return typeof emptyIn === 'number' && threshold.gte(emptyIn);
    case 'used': {
      const {budget = null, spent = null, percentageUsed = null} = session ?? {};
      if (threshold === null || budget === null || spent === null || percentageUsed === null) return null;
      return budget.lte(ZERO) ? percentageUsed.gte(threshold) : spent.times(100).gte(budget.times(threshold));
    }
  }
}

function findingsOf(subject: Subject, rules: readonly LimitRule[]): LimitFinding[] {
  const byKind = new Map<RuleKind, LimitFinding>();
  for (const rule of rules) {
    if (holds(rule, subject) !== true) continue;
    const worse = byKind.get(rule.kind);
    if (worse === undefined) byKind.set(rule.kind, {subject, rule, rules: [rule]});
    else worse.rules.push(rule);
  }
  return [...byKind.values()];
}
