import {describeEnd} from '../../lib/gateway/freeze.js';
import type {Check, LimitFinding, Severity} from '../../lib/monitoring/limits.js';
import {formatExactMoney, formatMoney, formatPercentage, type Money} from '../../lib/values/money.js';
import {formatDuration} from '../../lib/values/time.js';
import {paint} from '../text/colour.js';
import {roomOf, showCut, showMessage} from '../text/escape.js';

/** One crossing in the form for scripts, which is a contract. Amounts are exact; null means absent or unreadable. */
export interface FindingJson {
  session_id: string;
  severity: Severity;
  check: string;
  threshold: Money | null;
  budget: Money | null;
  spent: Money | null;
  remaining: Money | null;
  percentage_used: Money | null;
  is_frozen: boolean | null;
  frozen_until: Date | null;
  freeze_reason: string | null;
  /** Only with --sample; US dollars. */
  spent_per_minute?: Money | null;
  message: string;
}

export interface CheckJson {
  status: 'ok' | Severity;
  checked: number;
  critical: number;
  warning: number;
  /** How many crossings still hold and were reported before; null without `--new-only`. */
  reported_before: number | null;
  findings: FindingJson[];
}

/** `known` is the number of crossings that were reported before; `findings` does not include them. */
export function toCheckJson({checked}: Check, findings: readonly LimitFinding[], known: number | null): CheckJson {
  return {
    status: statusOf(findings),
    checked,
    critical: countOf(findings, 'critical'),
    warning: countOf(findings, 'warning'),
    reported_before: known,
    findings: findings.map(toFindingJson),
  };
}

export function toFindingJson(finding: LimitFinding): FindingJson {
  const {
    subject: {id, session, freeze},
    rule,
  } = finding;
  return {
    session_id: id,
    severity: rule.severity,
    check: rule.kind,
    threshold: rule.threshold,
    budget: session?.budget ?? null,
    spent: session?.spent ?? null,
    remaining: session?.remaining ?? null,
    percentage_used: session?.percentageUsed ?? null,
    is_frozen: freeze?.isFrozen ?? null,
    frozen_until: freeze?.isFrozen ? freeze.until : null,
    freeze_reason: freeze?.isFrozen ? freeze.reason : null,
    ...(session?.rate !== undefined && {spent_per_minute: session.rate}),
    message: describeFinding(finding),
  };
}

/** The status as the first word, like monitoring plugins, then a line for each crossing. */
export function renderCheck(check: Check, findings: readonly LimitFinding[], known: number | null): string {
  const status = (severity: 'ok' | Severity): string =>
    paint(COLOURS[severity], severity.toUpperCase(), process.stdout);
  const lines = [`${status(statusOf(findings))} - ${summarize(check, findings, known)}`];
  const room = roomOf(process.stdout);
  for (const finding of findings) {
    const {id} = finding.subject;
    lines.push(
      `${status(finding.rule.severity)} '${showCut(id, room)}': ${showMessage(describeFinding(finding), room)}`,
    );
  }
  return lines.map((line) => `${line}\n`).join('');
}

/** `1 critical, 2 warning, of 120 sessions` */
function summarize({checked}: Check, findings: readonly LimitFinding[], known: number | null): string {
  const [critical, warning] = [countOf(findings, 'critical'), countOf(findings, 'warning')];
  const parts = [
    ...(critical === 0 ? [] : [`${critical} critical`]),
    ...(warning === 0 ? [] : [`${warning} warning`]),
    ...(findings.length > 0 ? [] : [known === null ? 'nothing found' : 'nothing new']),
    ...(known === null || known === 0 ? [] : [`${known} reported before`]),
  ];
  return `${parts.join(', ')}; ${checked} session${checked === 1 ? '' : 's'} checked`;
}

/** What is wrong, in numbers, and against which threshold. May hold untrusted text. */
export function describeFinding({subject, rule: {kind, threshold}}: LimitFinding): string {
  const {session, freeze, renewing, emptyIn} = subject;
  const money = (amount: Money | null | undefined): string => (amount == null ? 'unknown' : formatExactMoney(amount));
  const amounts = `${money(session?.spent)} of ${money(session?.budget)}, ${money(session?.remaining)} left`;
  switch (kind) {
    case 'used':
      return `used ${showShare(session?.percentageUsed)} of its budget, at or above ${threshold?.toString() ?? ''}% (${amounts})`;
    case 'left':
      return `has less than ${money(threshold)} left (${amounts})`;
    case 'rate':
      return `spends ${formatMoneyRate(session?.rate)}, more than ${formatMoneyRate(threshold)} (${amounts})`;
    case 'empties': {
      const when = typeof emptyIn === 'number' && emptyIn > 0 ? `in about ${formatDuration(emptyIn * 1000)}` : 'now';
      return `is empty ${when} at the rate that is recorded, within ${formatDuration((threshold?.toNumber() ?? 0) * 1000)} (${amounts})`;
    }
    case 'frozen':
      return `is frozen ${freeze?.until ? describeEnd(freeze.until) : ''} (${freeze?.reason ?? 'no reason'})`;
    case 'overdue':
      return renewing === null
        ? 'has a period or grants that cannot be read, so that renew-budgets cannot renew it'
        : 'has a renewal, or the end of a grant, that is overdue: renew-budgets has not carried it out';
    case 'unreadable_money':
      return (session?.problems ?? []).join(' ');
    case 'unreadable_freeze':
      return (freeze?.problems ?? []).join(' ');
  }
}

function formatMoneyRate(rate: Money | null | undefined): string {
  return rate == null ? 'at an unknown rate' : `${formatMoney(rate)}/min`;
}

const COLOURS = {ok: 'green', warning: 'yellow', critical: 'red'} as const;

function countOf(findings: readonly LimitFinding[], severity: Severity): number {
  return findings.filter(({rule}) => rule.severity === severity).length;
}

function statusOf(findings: readonly LimitFinding[]): 'ok' | Severity {
  // The most severe come first.
  return findings[0]?.rule.severity ?? 'ok';
}

function showShare(percentage: Money | null | undefined): string {
  return percentage == null ? 'an unknown share' : formatPercentage(percentage);
}
