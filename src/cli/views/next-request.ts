import {IDENTICAL_LIMIT, REQUEST_LIMIT} from '../../lib/gateway/anomaly-stats.js';
import {ONLY_A_FREEZE_BLOCKS} from '../../lib/gateway/budget-judgement.js';
import {describeEnd} from '../../lib/gateway/freeze.js';
import type {
  BudgetRule,
  Decision,
  FreezeRule,
  LoopRule,
  Remedy,
  RequestRateRule,
  Rule,
} from '../../lib/gateway/next-request.js';
import {percentageOf} from '../../lib/gateway/session.js';
import {formatExactMoney, type Money, toPlainDigits, ZERO} from '../../lib/values/money.js';
import {isText, nameOf, sentInHeader} from '../../lib/values/session-id.js';
import {formatDuration, formatUtc} from '../../lib/values/time.js';
import {type SameServer, toGlob, toKeyDeletion, toSessionCommand} from '../copyable/session-commands.js';
import {toCommandLine} from '../copyable/shell-quote.js';
import {roomOf, showCut} from '../text/escape.js';
import type {Forecast, ForecastJson} from './forecast.js';
import type {ShownRenewal} from './periods.js';

/** A rule in the form for scripts, which is a contract. The fields after these are facts about the rule. */
interface RuleJson {
  rule: Rule['rule'];
  verdict: Rule['verdict'];
  http_status: number | null;
  until: Date | null;
  problem: string | null;
  [fact: string]: unknown;
}

/** A decision in the form for scripts, which is a contract. */
export interface DecisionJson extends Partial<ForecastJson> {
  session_id: string;
  is_known: boolean;
  checked_at: Date;
  cost: Money | null;
  identical: boolean;
  passes: boolean;
  http_status: number | null;
  refused_by: Rule['rule'] | null;
  until: Date | null;
  passes_if_identical: boolean;
  rules: RuleJson[];
  commands: string[];
  /** Additional remarks, as sentences. */
  notes: string[];
  /** The next renewal of the budget, if it renews. */
  next_renewal: string | null;
  /** Commands that let it pass for this period only, without a larger budget. */
  grant_commands: string[];
}

export function toDecisionJson(
  decision: Decision,
  server: SameServer,
  renewal: ShownRenewal | undefined,
  forecast: Forecast | undefined,
): DecisionJson {
  const {passes, request} = decision;
  return {
    session_id: decision.id,
    is_known: decision.isKnown,
    checked_at: decision.now,
    cost: request.cost,
    identical: request.isRepeated,
    passes,
    http_status: decision.answer,
    refused_by: decision.refusedBy,
    until: decision.until,
    passes_if_identical: passes && !decision.isLoopNext,
    rules: decision.rules.map((rule) => {
      const {verdict, answer, until, problem} = rule;
      return {rule: rule.rule, verdict, http_status: answer, until, problem, ...factsOf(rule)};
    }),
    commands: toCommands(decision, decision.remedies, server),
    notes: describeNotes(decision),
    next_renewal: renewal?.json.next_renewal ?? null,
    ...forecast?.json,
    grant_commands: toCommands(decision, findGrants(decision, renewal), server),
  };
}

/** A decision for people, line by line. May hold untrusted text. */
export function describeDecision(
  decision: Decision,
  server: SameServer,
  renewal?: ShownRenewal,
  forecast?: Forecast,
): string[] {
  const {id, rules, remedies, isLoopNext} = decision;
  const labelled = rules.map((rule) => `${LABELS[rule.rule].padEnd(WIDTH)} ${describeRule(rule, decision)}`);
  return [
    `${'Session:'.padEnd(WIDTH)} ${showCut(id, roomOf(process.stdout))}`,
    ...labelled,
    ...(forecast === undefined ? [] : [`${'Rate:'.padEnd(WIDTH)} ${forecast.sentence}`]),
    ...(renewal?.sentence == null ? [] : [`${'Renews:'.padEnd(WIDTH)} ${renewal.sentence}`]),
    describeAnswer(decision),
    ...describeRemedies('To let it pass:', decision, remedies, server),
    ...describeRemedies(
      'Or, in place of add-budget, until the budget renews:',
      decision,
      findGrants(decision, renewal),
      server,
    ),
    ...(isLoopNext
      ? [
          `The same request as the last one would be refused (${describeLoop(decision)}).`,
          ...describeRemedies('To forget the last one:', decision, [{action: 'unfreeze'}], server),
        ]
      : []),
    ...describeNotes(decision).map((note) => `Note: ${note}`),
  ];
}

/** Remarks that do not follow from the rules. May hold untrusted text. */
function describeNotes({key, rules, isLoopNext}: Decision): string[] {
  const notes: string[] = [];
  const sent = sentInHeader(key);
  if (sent !== undefined) {
    notes.push(
      `This is how the gateway stores '${nameOf(sent)}' from an X-Session-ID header. A request with that header passes these rules, then fails with HTTP 500 on its way to the provider.`,
    );
  }
  for (const rule of rules) {
    if (rule.rule === 'loop' && (isLoopNext || rule.verdict === 'refuses' || rule.verdict === 'close')) {
      notes.push(
        'Embeddings and legacy completions count as the same request when model and max_tokens are the same, whatever their input.',
      );
    }
    if (rule.rule === 'budget' && rule.budget?.eq(ZERO)) notes.push(ONLY_A_FREEZE_BLOCKS);
  }
  return notes;
}

/** For a budget that renews: a grant instead of a larger budget. */
function findGrants({remedies, key}: Decision, renewal: ShownRenewal | undefined): Grant[] {
  if (renewal?.sentence == null || !isText(key)) return [];
  return remedies.flatMap((remedy) =>
    remedy.action === 'add_budget' ? [{action: 'grant' as const, amount: remedy.amount}] : [],
  );
}

interface Grant {
  action: 'grant';
  amount: Money;
}

const LABELS: Record<Rule['rule'], string> = {
  freeze: 'Freeze:',
  request_rate: 'Request rate:',
  loop: 'Loop:',
  velocity: 'Velocity:',
  history: 'History:',
  budget: 'Budget:',
};
const WIDTH = LABELS.request_rate.length;
const REFREEZE = 'freezes the session for 5 minutes';

function describeRule(rule: Rule, decision: Decision): string {
  const {verdict, answer, problem, until} = rule;
  if (problem !== null) {
    const end = until === null ? '' : `; its key goes ${describeMoment(until, decision)}`;
    return `refuses with HTTP ${answer ?? 500}, because ${problem}${end}`;
  }
  const status = answer === null ? verdict : `${verdict} with HTTP ${answer}`;
  switch (rule.rule) {
    case 'freeze':
      return `${status}, ${describeFreezeRule(rule, decision)}`;
    case 'request_rate':
      return `${status}, ${describeRate(rule, decision)}`;
    case 'loop':
      return `${status}, ${describeCount(rule, decision)}`;
    case 'velocity':
      return 'not recorded by this gateway';
    case 'budget':
      return `${status}, ${describeBudget(rule, decision)}`;
    case 'history':
      return status;
  }
}

function describeFreezeRule({frozenUntil, until, reason, endedAt}: FreezeRule, decision: Decision): string {
  if (frozenUntil === null) {
    if (endedAt === null) return 'not frozen';
    return `frozen ${describeEnd(endedAt)}, which is over: the gateway clears that at the next request`;
  }
  const left = until === null ? '' : `, for ${formatDuration(until.getTime() - decision.now.getTime())} more`;
  return `frozen ${describeEnd(until ?? frozenUntil)}${left} (${reason ?? 'no reason'})`;
}

function describeRate({count, countUntil, answer}: RequestRateRule, decision: Decision): string {
  const counted = `${count ?? 0} requests without a minute of rest (limit ${REQUEST_LIMIT})`;
  if (answer === null) return counted;
  const end = countUntil === null ? '' : `; if none comes, the count ends ${describeMoment(countUntil, decision)}`;
  return `${counted}; one more ${REFREEZE}${end}`;
}

function describeCount({count, isLastKnown, ifRepeated, answer}: LoopRule, decision: Decision): string {
  if (!isLastKnown) return 'the last request is not remembered';
  const counted = `${count ?? 0} identical in a row after the first (limit ${IDENTICAL_LIMIT})`;
  if (ifRepeated.answer === null) return counted;
  if (ifRepeated.problem !== null) return `the same request again fails, because ${ifRepeated.problem}`;
  const end = ifRepeated.until === null ? '' : `until ${formatUtc(ifRepeated.until)} `;
  const what = answer === null && !decision.request.isRepeated ? 'the same request again' : 'one more';
  return `${counted}; ${end}${what} ${REFREEZE}`;
}

function describeLoop({rules}: Decision): string {
  const loop = rules.find((rule) => rule.rule === 'loop');
  return `HTTP ${loop?.ifRepeated.answer ?? 429}`;
}

function describeBudget(
  {budget, spent, isDefault, isUnlimited, remaining, missing}: BudgetRule,
  decision: Decision,
): string {
  if (isUnlimited) return 'there is no limit';
  const of = isDefault
    ? `of the gateway's default of ${formatAmount(budget)}, since it has none of its own`
    : `of ${formatAmount(budget)}`;
  const left = `${formatAmount(remaining)} left ${of}, ${formatAmount(spent)} spent`;
  const {cost} = decision.request;
  if (cost === null) return left;
  return missing === null
    ? `${left}; enough for ${formatExactMoney(cost)}`
    : `${left}; ${formatExactMoney(missing)} short of ${formatExactMoney(cost)}`;
}

/** Null stands for an amount beyond all others. */
function formatAmount(amount: Money | null): string {
  return amount === null ? 'an infinite amount' : formatExactMoney(amount);
}

function describeAnswer(decision: Decision): string {
  const {passes, answer, refusedBy, until, rules, request} = decision;
  const budget = rules.find((rule) => rule.rule === 'budget');
  if (passes) {
    const most =
      request.cost === null && budget?.remaining
        ? ` if it costs no more than ${formatExactMoney(budget.remaining)}`
        : '';
    return `✓ The next request passes${most}`;
  }
  const what = answer === 429 ? 'is refused' : 'fails';
  const by = LABELS[refusedBy ?? 'budget'].slice(0, -1).toLowerCase();
  const end = until === null ? '' : `, until ${formatUtc(until)}`;
  return `✗ The next request ${what} with HTTP ${answer ?? 500} (${by})${end}`;
}

function describeMoment(at: Date, {now}: Decision): string {
  return `in ${formatDuration(at.getTime() - now.getTime())} (${formatUtc(at)})`;
}

function describeRemedies(
  title: string,
  decision: Decision,
  remedies: readonly (Remedy | Grant)[],
  server: SameServer,
): string[] {
  if (remedies.length === 0) return [];
  const commands = toCommands(decision, remedies, server);
  if (commands.length === remedies.length) return [title, ...commands.map((command) => `  ${command}`)];
  return [`${title} no command line can hold this ID; give it to --stdin as JSON, or use --match.`];
}

/** Commands to paste into a shell, without those for an ID that no shell can hold. */
function toCommands({id, key}: Decision, remedies: readonly (Remedy | Grant)[], server: SameServer): string[] {
  const commands = remedies.map((remedy) => {
    switch (remedy.action) {
      case 'unfreeze':
        return toSessionCommand('unfreeze-session', key, {flags: server.flags});
      case 'repair':
        return isText(key)
          ? toCommandLine(['tokengate', 'check-store', ...server.flags, '--fix', `--match=${toGlob(id)}`])
          : null;
      case 'add_budget':
        return toSessionCommand('add-budget', key, {flags: server.flags, words: [toPlainDigits(remedy.amount)]});
      case 'grant': {
        const words = [toPlainDigits(remedy.amount)];
        return toSessionCommand('grant-budget', key, {flags: [...server.flags, '--this-period'], words});
      }
      case 'set_budget':
        return toSessionCommand('set-budget', key, {flags: server.flags, words: [toPlainDigits(remedy.amount)]});
      case 'reset_spent':
        return toSessionCommand('reset-session', key, {flags: [...server.flags, '--keep-budget']});
      case 'delete_key': {
        const {prefix, suffix} = remedy.shape;
        return toKeyDeletion(key, `${prefix}${id}${suffix}`, server);
      }
    }
  });
  return commands.flatMap((command) => command ?? []);
}

function factsOf(rule: Rule): Record<string, unknown> {
  switch (rule.rule) {
    case 'freeze':
      return {frozen_until: rule.frozenUntil, freeze_reason: rule.reason};
    case 'request_rate':
      return {requests_last_minute: rule.count, requests_limit: REQUEST_LIMIT, counted_until: rule.countUntil};
    case 'loop':
      return {
        identical_consecutive: rule.count,
        identical_limit: IDENTICAL_LIMIT,
        last_request_known: rule.isLastKnown,
        http_status_if_identical: rule.ifRepeated.answer,
      };
    case 'budget': {
      const {budget, spent, isDefault, isUnlimited, remaining, missing} = rule;
      const used = budget === null || spent === null ? null : percentageOf(budget, spent);
      return {
        budget,
        is_default: isDefault,
        is_unlimited: isUnlimited,
        spent,
        remaining,
        percentage_used: used,
        missing,
      };
    }
    default:
      return {};
  }
}
