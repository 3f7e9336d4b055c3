import type {Gauge, Metrics} from '../../lib/monitoring/metrics.js';
import {toPlainDigits} from '../../lib/values/money.js';
import {showText} from '../text/escape.js';

/** The largest number that Prometheus reads (a binary float): one larger number makes it refuse the whole file. */
const MAX_VALUE = Number.MAX_VALUE;

/**
 * Metrics in Prometheus's text format, version 0.0.4. Amounts have all their digits. On a terminal, labels are made
 * safe to show.
 */
export function* renderMetrics(
  {gauges, sessions, leftOut}: Metrics,
  {maxSeries, isTerminal}: {maxSeries: number; isTerminal: boolean},
): Generator<string> {
  if (leftOut > 0) {
    yield `# ${leftOut} of ${sessions} sessions have no series of their own (--max-series ${maxSeries}): those that have used least.\n`;
    yield '# They are summed in tokengate_other_sessions_*.\n';
  }
  // Prometheus takes any other character literally.
  const escape = (text: string): string => escapeLabel(isTerminal ? showText(text) : text);
  for (const {name, help, samples} of gauges) {
    if (samples.length === 0) continue;
    yield `# HELP ${name} ${help}\n# TYPE ${name} gauge\n`;
    for (const {labels, value} of samples) {
      const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escape(text)}"`);
      yield `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${toValue(value)}\n`;
    }
  }
}

function escapeLabel(text: string): string {
  return text.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`));
}

function toValue(value: Gauge['samples'][number]['value']): string {
  if (typeof value === 'number') return String(value);
  if (value.gt(MAX_VALUE)) return '+Inf';
  return value.lt(-MAX_VALUE) ? '-Inf' : toPlainDigits(value);
}
