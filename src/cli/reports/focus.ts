import {spentDayKey} from '../../lib/gateway/keys.js';
import type {Redis} from '../../lib/redis/contract.js';
import {addDays, type DayCalendar, type Days, listDays} from '../../lib/spending/days.js';
import type {Ledger} from '../../lib/spending/ledger.js';
import {readDay} from '../../lib/spending/report.js';
import {inGroups} from '../../lib/values/chunks.js';
import {type Money, toPlainDigits} from '../../lib/values/money.js';
import {nameOf, type RawId} from '../../lib/values/session-id.js';
import {toCsvCell} from '../text/csv.js';

/** The data of one row. */
interface Charge {
  session: string;
  group: string | null;
  amount: Money;
  /** The start of a day and of its month, and of the next day and month, in ISO 8601. */
  day: [start: string, end: string];
  month: [start: string, end: string];
  isTerminal: boolean;
}

const time = (at: Date): string => at.toISOString().replace('.000Z', 'Z');
const amount = (charge: Charge): string => toPlainDigits(charge.amount);
const PROVIDER = 'TokenGate';
/** Rows to make at a time. */
const PAGE = 500;

/**
 * The mandatory columns of FOCUS 1.2, with the session as the resource, and its group. Costs are as the gateway counted
 * them, in US dollars; it knows no list prices and no discounts.
 *
 * @see https://focus.finops.org/focus-specification/v1-2/
 */
const COLUMNS: Record<string, (charge: Charge) => string> = {
  BilledCost: amount,
  BillingAccountId: () => PROVIDER,
  BillingAccountName: () => PROVIDER,
  BillingCurrency: () => 'USD',
  BillingPeriodEnd: ({month}) => month[1],
  BillingPeriodStart: ({month}) => month[0],
  ChargeCategory: () => 'Usage',
  // Null for a row that corrects nothing.
  ChargeClass: () => '',
  ChargeDescription: ({session, isTerminal}) => toCsvCell(`LLM requests of session ${session}`, {isTerminal}),
  ChargePeriodEnd: ({day}) => day[1],
  ChargePeriodStart: ({day}) => day[0],
  ContractedCost: amount,
  EffectiveCost: amount,
  InvoiceIssuerName: () => PROVIDER,
  ListCost: amount,
  PricingQuantity: amount,
  PricingUnit: () => 'US Dollars',
  ProviderName: () => PROVIDER,
  PublisherName: () => PROVIDER,
  ResourceId: ({session, isTerminal}) => toCsvCell(session, {isTerminal}),
  ServiceCategory: () => 'AI and Machine Learning',
  ServiceName: () => 'LLM gateway',
  x_Group: ({group, isTerminal}) => (group === null ? '' : toCsvCell(group, {isTerminal})),
};

export interface FocusOptions extends Days {
  match: string | undefined;
  groupOf: ((id: RawId) => string) | undefined;
  isTerminal: boolean;
}

/** CSV with a row for each session and day, a day at a time. */
export async function* renderFocus(
  redis: Redis,
  ledger: Ledger,
  {startOf}: DayCalendar,
  {from, to, match, groupOf, isTerminal}: FocusOptions,
): AsyncGenerator<string> {
  yield `${Object.keys(COLUMNS).join(',')}\n`;
  const cells = Object.values(COLUMNS);
  for (const name of listDays({from, to}).filter((one) => ledger.days.has(one))) {
    const first = `${name.slice(0, 7)}-01`;
    const next = `${addDays(first, 31).slice(0, 7)}-01`;
    const day: Charge['day'] = [time(startOf(name)), time(startOf(addDays(name, 1)))];
    const month: Charge['month'] = [time(startOf(first)), time(startOf(next))];
    const charges = (await readDay(redis, spentDayKey(name), match)).sort((a, b) => (a.id < b.id ? -1 : 1));
    for (const some of inGroups(charges, PAGE)) {
      yield some
        .map(({id, amount}) => {
          const charge = {session: nameOf(id), group: groupOf?.(id) ?? null, amount, day, month, isTerminal};
          return `${cells.map((cell) => cell(charge)).join(',')}\n`;
        })
        .join('');
    }
  }
}
