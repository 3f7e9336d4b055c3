import {formatMoney, formatPercentage, type Money, toPlainDigits, ZERO} from '../lib/money.js';
import type {Session} from '../lib/sessions.js';
import {toCsvLine} from './csv.js';
import {stringifyArray, stringifyJson} from './json.js';
import {drawTable} from './table.js';
import {showText} from './text.js';

/** A session as scripts see it: a contract. Amounts are exact; null is a value in Redis that is not money. */
export interface SessionJson {
  session_id: string;
  budget: Money | null;
  spent: Money | null;
  remaining: Money | null;
  percentage_used: Money | null;
}

export const LIST_FORMATS = ['table', 'json', 'ndjson', 'csv'] as const;
export type ListFormat = (typeof LIST_FORMATS)[number];

export function toSessionJson({id, budget, spent, remaining, percentageUsed}: Session): SessionJson {
  return {session_id: id, budget, spent, remaining, percentage_used: percentageUsed};
}

/** A list of sessions as text. CSV on a terminal is made safe; in a pipe or a file it is exact. */
export async function renderSessions(sessions: readonly Session[], format: ListFormat): Promise<Iterable<string>> {
  switch (format) {
    case 'table':
      if (sessions.length === 0) return ['No active sessions found.\n'];
      return drawTable(['Session ID', 'Budget', 'Spent', 'Remaining', 'Used %'], sessions.map(toCells));
    case 'json':
      return stringifyArray(map(sessions, toSessionJson));
    case 'ndjson':
      return map(sessions, (session) => `${stringifyJson(toSessionJson(session))}\n`);
    case 'csv':
      return csvLines(sessions, process.stdout.isTTY);
  }
}

function toCells({id, budget, spent, remaining, percentageUsed}: Session): string[] {
  const money = (amount: Money | null): string => (amount === null ? 'invalid' : formatMoney(amount));
  return [showText(id), money(budget), money(spent), money(remaining), usedCell(budget, spent, percentageUsed)];
}

function usedCell(budget: Money | null, spent: Money | null, percentage: Money | null): string {
  if (budget === null || spent === null || percentage === null) return 'invalid';
  return budget.eq(ZERO) && spent.eq(ZERO) ? '-' : formatPercentage(percentage);
}

function* csvLines(sessions: readonly Session[], isTerminal: boolean): Generator<string> {
  const digits = (amount: Money | null): string => (amount === null ? '' : toPlainDigits(amount));
  yield 'session_id,budget,spent,remaining,percentage_used\n';
  for (const {id, budget, spent, remaining, percentageUsed} of sessions) {
    const shown = isTerminal ? showText(id) : id;
    yield toCsvLine(shown, [digits(budget), digits(spent), digits(remaining), digits(percentageUsed)]);
  }
}

function* map<T, R>(items: Iterable<T>, change: (item: T) => R): Generator<R> {
  for (const item of items) yield change(item);
}
