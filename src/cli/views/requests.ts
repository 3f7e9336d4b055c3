import type {RecordedRequest} from '../../lib/gateway/request-history.js';
import {quoteStart} from '../../lib/gateway/stored-text.js';
import {formatExactMoney, type Money, toPlainDigits} from '../../lib/values/money.js';
import {formatUtc} from '../../lib/values/time.js';
import {toCsvCell} from '../text/csv.js';
import {roomOf, showCut, showText} from '../text/escape.js';
import {stringifyJson} from '../text/json.js';
import {drawTable} from '../text/table.js';

export const REQUEST_FORMATS = ['table', 'json', 'ndjson', 'csv'] as const;

/** A request as scripts see it: a contract. A null cost is not recorded. */
interface RequestJson {
  timestamp: Date | null;
  model: string | null;
  cost: Money | null;
  malformed: string | null;
}

/**
 * A list of requests as text, piece by piece. `none` is what a table says that has no rows. On a
 * terminal what is otherwise exact is made safe to show.
 */
export async function* renderRequests(
  requests: readonly RecordedRequest[],
  {format, none, isTerminal}: {format: (typeof REQUEST_FORMATS)[number]; none: string; isTerminal: boolean},
): AsyncGenerator<string> {
  switch (format) {
    case 'table':
      if (requests.length === 0) yield none;
      else yield* await drawTable(['Time', 'Model', 'Cost'], requests.map(toRow), {flexible: [1], right: [2]});
      break;
    case 'json':
      yield `${stringifyJson(requests.map(toJson), '  ')}\n`;
      break;
    case 'ndjson':
      for (const request of requests) yield `${stringifyJson(toJson(request))}\n`;
      break;
    case 'csv': {
      const text = (value: string | null): string =>
        value === null ? '' : toCsvCell(isTerminal ? showText(value) : value);
      yield 'timestamp,model,cost,malformed\n';
      for (const {at, model, cost, malformed} of requests) {
        const amount = cost === null ? '' : toPlainDigits(cost);
        yield `${at?.toISOString() ?? ''},${text(model)},${amount},${text(malformed)}\n`;
      }
    }
  }
}

function toRow({at, model, cost, malformed}: RecordedRequest): string[] {
  if (at === null) return ['malformed', showCut(quoteStart(malformed ?? ''), roomOf(process.stdout)), '-'];
  return [
    formatUtc(at),
    showCut(model ?? '-', roomOf(process.stdout)),
    cost === null ? 'not recorded' : formatExactMoney(cost),
  ];
}

/** A request in one line; may hold untrusted text. */
export function describeRequest({at, model, cost, malformed}: RecordedRequest): string {
  if (at === null) return `malformed: ${quoteStart(malformed ?? '')}`;
  return `${formatUtc(at)}  ${model ?? '-'}  ${cost === null ? 'cost not recorded' : formatExactMoney(cost)}`;
}

function toJson({at, model, cost, malformed}: RecordedRequest): RequestJson {
  return {timestamp: at, model, cost, malformed};
}
