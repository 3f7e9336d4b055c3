import {describeEnd} from '../../../lib/gateway/freeze.js';
import {forecastEmpty} from '../../../lib/periods/forecast.js';
import type {ServerInfo} from '../../../lib/redis/contract.js';
import {describeServer} from '../../../lib/redis/describe-server.js';
import {formatMoney, formatPercentage, type Money} from '../../../lib/values/money.js';
import {formatUtc} from '../../../lib/values/time.js';
import {forecastOf, STATUSES, type Summary, type Watched} from '../../../lib/watch/row.js';
import {STATUS_COLOURS} from '../../text/colour.js';
import {showCut, showMessage} from '../../text/escape.js';
import {cutMiddle, widthOf} from '../../text/width.js';
import {countOf} from '../../text/words.js';
import {type Dialog, type Message, selectedIndex, selectedRow, sessionsOf, type State} from '../state.js';
import {fitLine, type Line, lineWidth, type Look, MOST, type Piece, shorten, spread, untrusted} from './cells.js';
import {
  amountText,
  describeStatuses,
  drawBar,
  formatLength,
  headLine,
  layOut,
  NOT_YET,
  rowLine,
  timeLeft,
} from './columns.js';
import {
  fitDialog,
  type KeyHint,
  keyHintsOf,
  pageRoom,
  type Panel,
  PANEL_BORDER,
  panelOf,
  scrolled,
  type Size,
  wrap,
} from './panels.js';

/** The content above the table. */
export interface Head {
  server: ServerInfo;
  /** The colour of the server's name. */
  color: Look | undefined;
  /** The time of the last reading, by the server's clock. */
  now: Date;
  /** Seconds from one reading to the next; undefined when there is only one. */
  interval: number | undefined;
  /** Safe to show; empty without. */
  trouble: string;
  summary: Summary;
  /** The number of sessions without the filter; undefined without one. */
  outOf: number | undefined;
  /** The limits on the sessions, in words; may hold untrusted text. */
  filters: readonly string[];
}

const GAP: Piece = {text: '  '};
const LIVE: Piece = {text: '● live', look: 'green'};

const dim = (text: string): Piece => ({text, look: 'dim'});
const bold = (text: string): Piece => ({text, look: 'bold'});

/**
 * Three lines: server and time, number of sessions, money; or the first one alone. The limits on the sessions are
 * always shown.
 */
export function headLines(head: Head, width: number, height: 1 | 3 = 3): Line[] {
  const {server, color = 'cyan', now, interval, trouble, summary, outOf, filters} = head;
  const {statuses} = summary;
  const limits: Line = filters.length === 0 ? [] : [untrusted(filters.join(', '), 'yellow'), {text: ' '}];
  const clock = formatUtc(now);
  const live = interval === undefined ? [] : [dim(`  every ${formatLength(interval)} `), LIVE];
  // The server's name is more important than the time of the reading; a warning about old data is always shown.
  const states: Line[] =
    trouble === ''
      ? [[dim(clock), ...live, {text: ' '}], [dim(clock), {text: ' '}], []]
      : [`${clock} STALE `, 'STALE '].map((text) => [{text, look: 'red'}]);
  const where: Line = [{text: ' tokengate ', look: 'bold'}, untrusted(describeServer(server), color)];
  const counts = STATUSES.flatMap((status): Piece[] => {
    const count = statuses[status];
    return [GAP, dim(`${status} `), {text: String(count), look: count === 0 ? 'dim' : STATUS_COLOURS[status]}];
  });
  const total = outOf === undefined ? String(summary.count) : `${summary.count} of ${outOf}`;
  const first = (right: Line): Line => spread(shorten(where, width - lineWidth(right) - 2), right, width);
  if (height === 1 && limits.length > 0) {
    const stale: Line = trouble === '' ? [] : [{text: 'STALE ', look: 'red'}];
    return [first(shorten([...stale, ...limits], width))];
  }
  const state = states.find((line) => lineWidth(where) + lineWidth(line) < width - 1) ?? states.at(-1) ?? [];
  if (height === 1) return [first(state)];
  const money = moneyLine(summary, width);
  return [
    first(state),
    trouble === ''
      ? beside([dim(' Sessions '), bold(total), ...counts], limits, width)
      : fitLine([{text: ` ${trouble}`, look: 'red'}], width),
    trouble === '' ? money : beside(money, limits, width),
  ];
}

/** If both do not fit, the left side is cut; the right side only where it is wider than the screen. */
function beside(left: Line, right: Line, width: number): Line {
  const rightmost = shorten(right, width);
  return spread(shorten(left, width - lineWidth(rightmost) - 1), rightmost, width);
}

/** As many facts as fit. */
function moneyLine({budget, spent, remaining, used, rate, count, renewsIn}: Summary, width: number): Line {
  const seconds = count === 0 ? null : forecastEmpty(remaining, rate, renewsIn);
  const bar = drawBar(used, 12);
  const look = used.gte(95) ? 'red' : used.gte(80) ? 'yellow' : 'green';
  const line = (isLong: boolean): Line => {
    const amount = (value: Money): Piece => bold(amountText(value, isLong));
    return [
      ...[dim(' Budget '), amount(budget), dim('  Spent '), amount(spent), {text: ' '}],
      ...(isLong ? [{text: bar.full, look} as const, dim(bar.rest), {text: ' '}] : []),
      ...[{text: formatPercentage(used), look} as const, dim('  Left '), amount(remaining)],
      ...[dim('  $/min '), rate === null ? bold(NOT_YET) : bold(amountText(rate, isLong).slice(1))],
      ...(typeof seconds === 'number' ? [dim('  Empty in '), bold(formatLength(seconds))] : []),
    ];
  };
  const long = line(true);
  return fitLine(lineWidth(long) <= width ? long : line(false), width);
}

/** The main facts of one session, in three lines. */
function detailLines(one: Watched, now: Date, width: number): Line[] {
  const {session, status, rate, requests} = one;
  const {id, budget, spent, remaining, freeze, problems} = session;
  const amount = (value: Money | null): string => (value === null ? 'invalid' : formatMoney(value));
  const forecast = status === 'empty' ? null : forecastOf(one);
  const renewal = one.renewsIn === null ? '' : `renews in ${formatLength(one.renewsIn)}`;
  const facts = [
    `spent ${amount(spent)} of ${amount(budget)}`,
    ...(remaining === null ? [] : [`left ${amount(remaining)}`]),
    rate === null ? 'not enough data for a rate' : `${formatMoney(rate)}/min`,
    ...(typeof forecast === 'number' ? [`empty in ${formatLength(forecast)}`] : []),
    ...(renewal === '' ? [] : [forecast === 'lasts' ? `lasts, ${renewal}` : renewal]),
  ];
  const count = requests === undefined ? '' : requests === null ? 'invalid' : String(requests);
  const frozen =
    freeze?.isFrozen && freeze.until !== null
      ? [`Frozen ${describeEnd(freeze.until)} (${timeLeft(freeze.until, now)}): ${freeze.reason ?? 'no reason'}`]
      : [];
  const effect =
    status === 'empty' && one.group === undefined ? ['The budget is spent: the gateway refuses its requests.'] : [];
  const right = count === '' ? [] : [dim('requests in the last minute '), {text: `${count} `}];
  const group =
    one.group === undefined
      ? []
      : [
          `${countOf(one.group.members.length, 'session')}: ${one.group.statuses.frozen} frozen, ${describeStatuses(one.group)}.`,
        ];
  return [
    spread([{text: ' '}, {text: cutMiddle(showCut(id, MOST), width - 2), look: 'bold'}], right, width),
    [{text: ` ${facts.join(', ')}`}],
    [{text: ' '}, untrusted([...group, ...frozen, ...effect, ...problems].join(' '), STATUS_COLOURS[status])],
  ].map((line) => fitLine(line, width));
}

/** The content of the screen. */
export interface Frame {
  lines: Line[];
  /** A box below the rows. */
  panel: Panel | undefined;
  /** The last line. */
  keys: Line;
}

/** What the screen shows besides the state. */
export interface View {
  server: ServerInfo;
  color: Look | undefined;
  interval: number;
  /** The limits on the sessions apart from the filter, in words. */
  limits: readonly string[];
  /** Safe to show; empty without. */
  trouble: string;
}

/** The lines below the table: a rule, and three. */
const FOOT = 4;
/** With fewer rows than the first there is no foot, and with fewer than the second only one line of head. */
const MIN_TALL = 14;
const MIN_HEAD = 8;
/** The smallest screen that shows anything. */
const MIN = {columns: 20, rows: 4};

/** The height of each part of the screen. */
function measure({dialog}: State, size: Size): {head: 1 | 3; foot: number; table: number} {
  const panel = panelOf(dialog, size);
  const head = size.rows >= MIN_HEAD ? 3 : 1;
  const foot = size.rows >= MIN_TALL && panel === undefined ? FOOT : 0;
  const box = panel === undefined ? 0 : panel.lines.length + PANEL_BORDER;
  // Without the head of the table and the keys.
  return {head, foot, table: size.rows - head - foot - 2 - box};
}

/** Fits the state to a screen of this size: the selected row is visible, and nothing is scrolled past its end. */
export function fit(state: State, size: Size): State {
  const page = Math.max(1, measure(state, size).table);
  const index = selectedIndex(state);
  const first = Math.max(0, Math.min(state.top, index, state.rows.length - page));
  const top = index >= first + page ? index - page + 1 : first;
  const layout = layOut(state.rows.slice(top, top + page), state.now, size.columns, state.layout);
  return {...state, page, top, layout, dialog: fitDialog(state.dialog, size)};
}

function visibleRows({rows, top, page}: State): readonly Watched[] {
  return rows.slice(top, top + page);
}

/** The sessions that are on the screen one by one. */
export function visibleSessions(state: State): readonly Watched[] {
  return visibleRows(state).filter(({group}) => group === undefined);
}

/** @param state a state that fits the size */
export function render(state: State, view: View, size: Size): Frame {
  const {columns, rows} = size;
  if (columns < MIN.columns || rows < MIN.rows) {
    return {lines: [fitLine([{text: 'Too small'}], columns)], panel: undefined, keys: []};
  }
  const {dialog, summary, now, sort, reverse, layout, marked} = state;
  const keys = keyLine(keyHintsOf(dialog, isFolded(state)), placeOf(state), columns);
  if (dialog?.kind === 'page') return {lines: pageLines(dialog, now, size), panel: undefined, keys};
  const {head, foot, table} = measure(state, size);
  const {limits, ...where} = view;
  const filters = [...limits, ...filtersOf(state)];
  const outOf = summary.count < state.sessions.length ? state.sessions.length : undefined;
  const visible = visibleRows(state);
  const shown = layout ?? layOut(visible, now, columns, undefined);
  const current = selectedIndex(state) - state.top;
  const body = visible.map((one, index) =>
    rowLine(one, now, shown, {
      isSelected: index === current,
      isMarked: sessionsOf([one]).every(({id}) => marked.has(id)),
    }),
  );
  if (visible.length === 0) body.push(fitLine([{text: ' No sessions.', look: 'dim'}], columns));
  while (body.length < table) body.push(fitLine([], columns));
  const lines = [
    ...headLines({...where, now, summary, outOf, filters}, columns, head),
    headLine(shown, sort, reverse),
    ...body,
    ...(foot === 0 ? [] : footLines(state, columns)),
  ];
  return {lines, panel: panelOf(dialog, size), keys};
}

/** The limits and the grouping of the rows, in words. */
function filtersOf(state: State): string[] {
  const {folding, filter, rows} = state;
  const groups = folding?.open === undefined ? countOf(rows.length, 'group') : `group ${folding.open}`;
  return [...(folding === undefined ? [] : [groups]), ...(filter.typed === '' ? [] : [`filter ${filter.typed}`])];
}

function isFolded({folding}: State): boolean {
  return folding !== undefined && folding.open === undefined;
}

/** Everything about one session, below its main facts, which stay up to date. */
function pageLines(dialog: Extract<Dialog, {kind: 'page'}>, now: Date, size: Size): Line[] {
  const {columns, rows} = size;
  const room = pageRoom(size);
  const lines = scrolled(dialog, size);
  const blanks = Array.from({length: room - lines.length}, () => fitLine([], columns));
  const facts = detailLines(dialog.one, now, columns);
  const head = [...facts, fitLine([{text: '─'.repeat(columns), look: 'dim'}], columns)];
  return [...head.slice(0, rows - 1 - room), ...lines, ...blanks];
}

const LOOKS: Record<Message['level'], Look> = {done: 'green', warning: 'yellow', error: 'red'};

/** A notice, or else the main facts of the selected session. */
function footLines(state: State, columns: number): Line[] {
  const {notice, now} = state;
  const one = selectedRow(state);
  const said = notice?.messages
    .flatMap(({text, level}) =>
      wrap(showMessage(text), columns - 2).map((line): Piece => ({text: ` ${line}`, look: LOOKS[level]})),
    )
    .slice(0, FOOT - 1)
    .map((piece) => fitLine([piece], columns));
  const lines = said ?? (one === undefined ? [] : detailLines(one, now, columns));
  const rule = fitLine([{text: '─'.repeat(columns), look: 'dim'}], columns);
  return [rule, ...lines, ...Array.from({length: FOOT - 1 - lines.length}, () => fitLine([], columns))];
}

/** `2 marked  12/30`: how many sessions are marked, and which row is selected. */
function placeOf(state: State): string {
  const {rows, marked} = state;
  const place = rows.length === 0 ? '' : `${selectedIndex(state) + 1}/${rows.length}`;
  return marked.size === 0 ? place : `${marked.size} marked  ${place}`;
}

/** Keys and what they do; if not all fit, those of the lowest rank are left out. */
function keyLine(keys: readonly KeyHint[], place: string, width: number): Line {
  const room = width - place.length - 2;
  const wide = (hints: readonly KeyHint[], gap: number): number =>
    hints.reduce((sum, {key, what}) => sum + widthOf(key) + what.length + 1 + gap, 1) - gap;
  let shown = keys;
  while (shown.length > 1 && wide(shown, 1) > room) {
    const least = Math.min(...shown.map(({rank}) => rank));
    shown = shown.filter(({rank}) => rank !== least);
  }
  const gap = ' '.repeat(wide(shown, 3) <= room ? 3 : 1);
  const pieces = shown.flatMap(({key, what}, index): Piece[] => [
    {text: index === 0 ? ' ' : gap},
    {text: key, look: 'bar'},
    {text: ` ${what}`},
  ]);
  return spread(shorten(pieces, room), [dim(place), {text: ' '}], width);
}
