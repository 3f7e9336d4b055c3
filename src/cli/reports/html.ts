import type {Report, ReportRow} from '../../lib/spending/report.js';
import {formatExactMoney, formatMoney, formatPercentage, ZERO} from '../../lib/values/money.js';
import {showText} from '../text/escape.js';
import {describeCoverage} from './coverage.js';
import {changeOf} from './table.js';

/** Rows with a colour of their own; the others share one. */
const MOST_COLOURS = 6;
const [WIDTH, HEIGHT, LEFT, BOTTOM] = [960, 280, 64, 24];

/** The page loads nothing and runs nothing. The order of the legend tells colours apart without hue. */
const STYLE = `:root{color-scheme:light dark;--text:#1c2024;--soft:#5a6169;--line:#d5d9dd;--page:#fff;
--c0:#2563a8;--c1:#b4540a;--c2:#2f7d4f;--c3:#8a3f9e;--c4:#a3273f;--c5:#5b6b00;--c6:#78808a}
@media(prefers-color-scheme:dark){:root{--text:#e6e9ec;--soft:#a3abb3;--line:#3a4148;--page:#14171a;
--c0:#6ea8ea;--c1:#f0a05a;--c2:#6fc795;--c3:#cf93e0;--c4:#f08a9d;--c5:#c3d05e;--c6:#98a1ab}}
@media print{:root{--text:#000;--soft:#333;--line:#999;--page:#fff}body{margin:0}tr,svg{break-inside:avoid}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--text);background:var(--page);max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}p{margin:.25rem 0 1rem}.soft{color:var(--soft)}
svg{width:100%;height:auto;font:11px system-ui,sans-serif;fill:var(--soft)}
ul{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.25rem 1.25rem}li{overflow-wrap:anywhere}
i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.4em}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;margin:1rem 0}caption{text-align:left;color:var(--soft)}
th,td{padding:.3rem .6rem;border-bottom:1px solid var(--line);text-align:right;font-variant-numeric:tabular-nums}
th:first-child{text-align:left;overflow-wrap:anywhere;font-weight:normal}thead th,tfoot th,tfoot td{font-weight:600!important}`;

/** A report as a single file for mailing, reading offline and printing. */
export function* renderHtml(report: Report, title: string): Generator<string> {
  const {period, timezone, total, coverage} = report;
  const span = period.from === period.to ? period.from : `${period.from} to ${period.to}`;
  yield `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none';style-src 'unsafe-inline';img-src data:">
<link rel="icon" href="data:,">
<title>Spending ${span}</title>
<style>${STYLE}
${Array.from({length: MOST_COLOURS + 1}, (_, nth) => `.c${nth}{fill:var(--c${nth});background:var(--c${nth})}`).join('')}</style>
</head>
<body>
<main>
<h1>Spending ${span}</h1>
<p>${formatExactMoney(total.spent)} by ${total.sessions} ${total.sessions === 1 ? 'session' : 'sessions'}. <span class="soft">Days of ${escape(timezone)}.</span></p>
`;
  const layers = layersOf(report, title);
  yield `${drawDays(report, layers)}\n`;
  if (layers.length > 1) {
    yield `<ul aria-label="Colours">${layers.map(({name, colour}) => `<li><i class="c${colour}"></i>${escape(name)}</li>`).join('')}</ul>\n`;
  }
  yield* tableOf(report, title);
  if (coverage.unaccounted.gt(ZERO)) {
    yield `<p>Spending that fell without an entry in the journal, not in these sums: ${formatExactMoney(coverage.unaccounted)}</p>\n`;
  }
  yield `<p class="soft">${escape(describeCoverage(coverage))}</p>\n</main>\n</body>\n</html>\n`;
}

/** One part of a stacked bar, from the bottom up. */
interface Layer {
  name: string;
  colour: number;
  days: Float64Array;
}

function layersOf({rows, others, total}: Report, title: string): Layer[] {
  if (title !== 'Session ID' && title !== 'Group') return [{name: 'Total', colour: 0, days: total.days}];
  const largest = rows.slice(0, MOST_COLOURS);
  const rest = [...rows.slice(MOST_COLOURS), ...(others === null ? [] : [others])];
  const layers = largest.map(({name, days}, colour): Layer => ({name, colour, days}));
  if (rest.length === 0) return layers;
  const days = total.days.map((_, day) => rest.reduce((sum, row) => sum + (row.days[day] ?? 0), 0));
  return [...layers, {name: 'All others', colour: MOST_COLOURS, days}];
}

function drawDays({days, total}: Report, layers: readonly Layer[]): string {
  const top = niceTop(Math.max(...total.days));
  const step = (WIDTH - LEFT) / days.length;
  const yOf = (amount: number): number => HEIGHT - BOTTOM - (amount / top) * (HEIGHT - BOTTOM - 12);
  const grid = [0, 1, 2, 3, 4].map((nth) => {
    const [amount, y] = [(top * nth) / 4, yOf((top * nth) / 4).toFixed(1)];
    return `<path d="M${LEFT} ${y}H${WIDTH}" stroke="var(--line)"/><text x="${LEFT - 8}" y="${y}" dy=".35em" text-anchor="end">$${shortAmount(amount)}</text>`;
  });
  const every = Math.ceil(days.length / 16);
  const bars = days.map((day, index) => {
    const x = LEFT + index * step;
    let bottom = 0;
    const parts = layers.map((layer) => {
      const amount = Math.max(0, layer.days[index] ?? 0);
      if (amount === 0) return '';
      const [y, base] = [yOf(bottom + amount), yOf(bottom)];
      bottom += amount;
      const height = (base - y).toFixed(2);
      return `<rect class="c${layer.colour}" x="${(x + step * 0.1).toFixed(2)}" y="${y.toFixed(2)}" width="${(step * 0.8).toFixed(2)}" height="${height}"><title>${day} ${escape(layer.name)}: $${amount.toFixed(4)}</title></rect>`;
    });
    const label =
      index % every === 0
        ? `<text x="${(x + step / 2).toFixed(1)}" y="${HEIGHT - 6}" text-anchor="middle">${day.slice(5)}</text>`
        : '';
    return parts.join('') + label;
  });
  const last = days.at(-1) ?? '';
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="US dollars spent on each day, ${days[0] ?? ''} to ${last}; the table below has the sums">${grid.join('')}${bars.join('')}</svg>`;
}

/** The next round amount. */
function niceTop(amount: number): number {
  if (amount <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(amount));
  return ([1, 2, 4, 5, 8, 10].find((digit) => digit * power >= amount) ?? 10) * power;
}

function shortAmount(amount: number): string {
  return amount >= 10 || amount === 0
    ? amount.toFixed(amount % 1 === 0 ? 0 : 1)
    : String(Number(amount.toPrecision(2)));
}

function* tableOf({rows, others, total, before}: Report, title: string): Generator<string> {
  const hasBudget = total.budget !== null;
  const heads = [
    'Spent',
    'Share',
    ...(hasBudget ? ['Budget now'] : []),
    ...(before === null ? [] : ['Before', 'Change']),
  ];
  const caption = before === null ? '' : `<caption>Before: ${before.from} to ${before.to}</caption>`;
  const line = (row: ReportRow): string => {
    const {name, spent, share, budget, previous} = row;
    const cells = [
      formatMoney(spent),
      share === null ? '-' : formatPercentage(share),
      ...(hasBudget ? [budget === null ? '-' : formatMoney(budget)] : []),
      ...(before === null ? [] : [previous === null ? 'not recorded' : formatMoney(previous), changeOf(row)]),
    ];
    return `<tr><th scope="row">${escape(name)}</th>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  };
  yield `<div class="scroll" role="region" aria-label="Sums" tabindex="0"><table>${caption}<thead><tr><th scope="col">${title}</th>${heads.map((head) => `<th scope="col">${head}</th>`).join('')}</tr></thead>\n<tbody>\n`;
  for (const row of rows) yield `${line(row)}\n`;
  if (others !== null) yield `${line(others)}\n`;
  yield `</tbody>\n<tfoot>${line(total)}</tfoot></table></div>\n`;
}

const ENTITIES: Record<string, string> = {'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;'};

/**
 * Escapes untrusted text for HTML. Characters that would affect their surroundings, such as a change of direction,
 * become visible.
 */
function escape(text: string): string {
  return showText(text).replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}
