import type {RecordedRequest} from '../../lib/gateway/request-history.js';
import {quoteStart} from '../../lib/gateway/stored-text.js';
import {formatExactMoney, type Money} from '../../lib/values/money.js';
import {formatUtc} from '../../lib/values/time.js';
import {renderDocuments} from '../text/documents.js';
import {roomOf, showCut} from '../text/escape.js';
import {drawTable} from '../text/table.js';

export const REQUEST_FORMATS = ['table', 'json', 'ndjson', 'csv'] as const;

/** A request in the form for scripts, which is a contract. A null cost is not recorded. */
interface RequestJson {
  timestamp: Date | null;
  model: string | null;
  cost: Money | null;
  malformed: string | null;
}

/**
 * A list of requests as text, piece by piece. `none` is the text of a table without rows. The text is exact, except on
 * a terminal, where it is made safe to show.
 */
export async function* renderRequests(
  requests: readonly RecordedRequest[],
  {format, none, isTerminal}: {format: (typeof REQUEST_FORMATS)[number]; none: string; isTerminal: boolean},
): AsyncGenerator<string> {
  if (format !== 'table') {
    const fields = ['timestamp', 'model', 'cost', 'malformed'];
    yield* renderDocuments(requests.map(toJson), format, {fields, isTerminal});
  } else if (requests.length === 0) {
    yield none;
  } else {
    yield* await drawTable(['Time', 'Model', 'Cost'], requests.map(toRow), {flexible: [1], right: [2]});
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
