import {FOREVER} from '../../../lib/gateway/freeze.js';
import {formatMoney, formatPercentage, type Money} from '../../../lib/values/money.js';
import {
  emptyIn,
  forecastOf,
  STATUSES,
  type Watched,
  type WatchedGroup,
  type WatchField,
} from '../../../lib/watch/row.js';
import {STATUS_COLOURS} from '../../text/colour.js';
import {roomOf, showCut, showMessage} from '../../text/escape.js';
import {cutMiddle, widthOf} from '../../text/width.js';
import {fit, type Line, type Look, type Piece} from './cells.js';

/** An unknown value, or one that does not apply. */
const NOTHING = '-';
/** A rate, or a value derived from it, before there is enough data. */
export const NOT_YET = '…';

interface Cell {
  one: Watched;
  now: Date;
  /** True where there is room for four decimals and a currency sign. */
  isWide: boolean;
  /** Whether there is a column for the freeze. */
  hasFreeze: boolean;
}

interface Column {
  title: string;
  /** The title where there is less room. */
  short?: string;
  /** The title where rows are groups. */
  ofGroups?: string;
  sort?: WatchField;
  align: 'left' | 'right';
  text: (facts: Cell) => string;
  look?: (one: Watched) => Look;
}

type Name = 'status' | 'id' | 'budget' | 'spent' | 'left' | 'used' | 'rate' | 'empty' | 'requests' | 'freeze';

const COLUMNS: Record<Name, Column> = {
  status: {
    title: 'STATUS',
    ofGroups: 'FROZEN',
    sort: 'status',
    align: 'left',
    text: statusText,
    look: ({status}) => STATUS_COLOURS[status],
  },
  id: {title: 'SESSION', ofGroups: 'GROUP', sort: 'id', align: 'left', text: idText},
  budget: amountColumn('BUDGET', 'budget', ({session}) => session.budget),
  spent: amountColumn('SPENT', 'spent', ({session}) => session.spent),
  left: amountColumn('LEFT', 'remaining', ({session}) => session.remaining),
  used: {title: 'USED', sort: 'used', align: 'left', text: ({one, isWide}) => usedText(one, isWide), look: usedLook},
  rate: {
    title: '$/MIN',
    sort: 'rate',
    align: 'right',
    text: ({one, isWide}) => rateText(one, isWide),
    look: ({rate}) => (rate === null || rate.eq(0) ? 'dim' : 'plain'),
  },
  empty: {
    title: 'EMPTY IN',
    short: 'EMPTY',
    sort: 'empty',
    align: 'right',
    text: ({one}) => emptyText(one),
    look: emptyLook,
  },
  requests: {
    title: 'REQ/MIN',
    short: 'REQ',
    sort: 'requests',
    align: 'right',
    text: ({one: {requests}}) => (requests == null ? (requests === null ? 'invalid' : ' ') : String(requests)),
    look: ({requests}) => (requests === 0 ? 'dim' : 'plain'),
  },
  freeze: {
    title: 'FREEZE',
    ofGroups: 'STATUS',
    align: 'left',
    text: ({one, now}) => freezeText(one, now),
    look: ({status}) => STATUS_COLOURS[status],
  },
};

/** In this order, from left to right. */
const NAMES = Object.keys(COLUMNS) as Name[];
/** The order in which columns are left out when there is too little room. */
const LEAST_FIRST: readonly Name[] = ['freeze', 'requests', 'budget', 'empty', 'spent', 'rate', 'used', 'left'];
/** The ID and the text of a freeze are cut if need be, but not below these widths. */
const MIN_WIDTHS: Partial<Record<Name, number>> = {id: 16, freeze: 12};
/** In fewer columns, a reason would be unreadable. */
const LEAST_REASON = 6;
const BAR = {min: 4, max: 24};
/** ` 48.4%` behind the bar, or ` 48%`. */
const PERCENTAGE = {wide: 7, narrow: 5};

/** From the first width on there is room for more digits and the freeze; from the second on for wider gaps. */
const WIDE = 120;
const VERY_WIDE = 140;

/** The columns and their widths. They stay the same until the terminal is resized or a cell needs more. */
export interface Layout {
  width: number;
  isWide: boolean;
  /** Rows are groups. */
  isFolded: boolean;
  /** The gap between two columns. */
  gap: number;
  columns: {name: Name; width: number}[];
  /** The widths that the cells have needed so far. */
  needs: Record<Name, number>;
}

/** A layout for these rows that changes as little as possible. */
export function layOut(rows: readonly Watched[], now: Date, width: number, before: Layout | undefined): Layout {
  const isWide = width >= WIDE;
  const isFolded = rows.some(({group}) => group !== undefined);
  const isSame = before?.width === width && before.isFolded === isFolded;
  const needs = {} as Record<Name, number>;
  for (const name of NAMES) {
    needs[name] = isSame ? before.needs[name] : titleOf(name, {isWide, isFolded}).length;
    if (name === 'used') continue;
    // Its width does not depend on the other columns.
    const facts = {now, isWide, hasFreeze: isWide};
    for (const one of rows) needs[name] = Math.max(needs[name], widthOf(COLUMNS[name].text({one, ...facts})));
  }
  if (isSame && NAMES.every((name) => needs[name] === before.needs[name])) return before;
  const gap = width >= VERY_WIDE ? 2 : 1;
  return {width, isWide, isFolded, gap, needs, columns: choose(needs, width, gap, isWide)};
}

/** A layout in which nothing is cut. */
export function layOutWhole(rows: readonly Watched[], now: Date): Layout {
  const layout = layOut(rows, now, Number.MAX_SAFE_INTEGER, undefined);
  return {...layout, width: layout.columns.reduce((sum, {width}) => sum + width + layout.gap, 1)};
}

/** One column is left for the mark of the selection. */
function choose(needs: Record<Name, number>, width: number, gap: number, isWide: boolean): Layout['columns'] {
  const percentage = isWide ? PERCENTAGE.wide : PERCENTAGE.narrow;
  const least = (name: Name): number =>
    name === 'used' ? BAR.min + percentage : Math.min(needs[name], MIN_WIDTHS[name] ?? Infinity);
  const names = new Set(isWide ? NAMES : NAMES.filter((name) => name !== 'freeze'));
  const spare = (): number => width - 1 - names.size * gap - [...names].reduce((sum, name) => sum + least(name), 0);
  for (const name of LEAST_FIRST) if (spare() < 0) names.delete(name);
  const columns = NAMES.filter((name) => names.has(name)).map((name) => ({name, width: least(name)}));
  // The remaining width goes to the ID and the text of a freeze, then to the bar. It is negative where even the ID does
  // not fit.
  const find = (name: Name): Layout['columns'][number] | undefined => columns.find((one) => one.name === name);
  const [id, freeze, used] = [find('id'), find('freeze'), find('used')];
  let left = spare();
  const grow = (column: typeof id, more: number): void => {
    if (column === undefined) return;
    const before = column.width;
    column.width = Math.max(1, before + Math.min(more, left));
    left -= column.width - before;
  };
  const want = (column: typeof id): number => (column === undefined ? 0 : needs[column.name] - column.width);
  grow(id, left < 0 ? left : Math.min(want(id), Math.max(Math.ceil(left / 2), left - want(freeze))));
  grow(freeze, want(freeze));
  grow(used, BAR.max - BAR.min);
  return columns;
}

function titleOf(name: Name, {isWide, isFolded}: Pick<Layout, 'isWide' | 'isFolded'>): string {
  const {title, short = title, ofGroups} = COLUMNS[name];
  if (isFolded && ofGroups !== undefined) return ofGroups;
  return isWide ? title : short;
}

/** The title of the sorted column is followed by a mark, in the gap before the next column. */
export function headLine(layout: Layout, sort: WatchField, reverse: boolean): Line {
  const {columns, width, gap} = layout;
  const cells = columns.map(({name, width: cell}) => {
    const {sort: field, align} = COLUMNS[name];
    const mark = (field === sort ? (reverse ? '▲' : '▼') : ' ').padEnd(gap);
    const title = titleOf(name, layout);
    return align === 'left' ? fit(`${title}${mark}`, cell + gap) : fit(title, cell, align) + mark;
  });
  return [{text: fit(` ${cells.join('')}`, width), look: 'bar'}];
}

export function rowLine(
  one: Watched,
  now: Date,
  {columns, isWide, gap, width}: Layout,
  {isSelected = false, isMarked = false} = {},
): Line {
  const pieces: Piece[] = [isMarked ? {text: '*', look: 'yellow'} : {text: isSelected ? '>' : ' '}];
  const facts = {one, now, isWide, hasFreeze: columns.some(({name}) => name === 'freeze')};
  for (const {name, width: cell} of columns) {
    const {text, align, look} = COLUMNS[name];
    const content = text(facts);
    if (name === 'used') pieces.push(...usedPieces(one, content, cell, isWide));
    else if (name === 'id') pieces.push(...idPieces(one, content, cell, isMarked ? 'yellow' : 'plain'));
    else pieces.push({text: fit(content, cell, align), look: look?.(one) ?? 'plain'});
    pieces.push({text: ' '.repeat(gap)});
  }
  if (!isSelected) return pieces;
  return [{text: fit(pieces.map(({text}) => text).join(''), width), look: 'selected'}];
}

/** A bar for the used share, and its percentage. */
function usedPieces(one: Watched, percentage: string, width: number, isWide: boolean): Piece[] {
  const used = one.session.percentageUsed;
  const look = usedLook(one);
  const room = isWide ? PERCENTAGE.wide : PERCENTAGE.narrow;
  const bar = drawBar(used, width - room);
  return [
    {text: bar.full, look},
    {text: bar.rest, look: 'dim'},
    {text: fit(percentage, room, 'right'), look},
  ];
}

export function drawBar(percentage: Money | null, width: number): {full: string; rest: string} {
  const share = percentage === null ? 0 : Math.min(100, Math.max(0, percentage.toNumber())) / 100;
  const halves = Math.round(share * width * 2);
  const full = '━'.repeat(Math.floor(halves / 2)) + (halves % 2 === 1 ? '╸' : '');
  return {full, rest: '─'.repeat(width - full.length)};
}

/**
 * The ID, followed by the reason of a freeze, or by the problem, as far as it fits; if these have no column of their
 * own.
 */
function idText({one, hasFreeze}: Cell): string {
  const id = showCut(one.session.id, roomOf(process.stdout));
  const why = hasFreeze ? '' : reasonText(one);
  return why === '' ? id : `${id}  ${why}`;
}

function idPieces(one: Watched, content: string, width: number, look: Look): Piece[] {
  const id = cutMiddle(showCut(one.session.id, roomOf(process.stdout)), width);
  const rest = width - widthOf(id);
  const why = content.slice(showCut(one.session.id, roomOf(process.stdout)).length);
  return [
    {text: id, look},
    {text: rest >= LEAST_REASON ? fit(why, rest) : ' '.repeat(rest), look: STATUS_COLOURS[one.status]},
  ];
}

/** The status, with the length of a freeze if that has no column: `frz 59m`. */
function statusText({one: {status, session, group}, now, hasFreeze}: Cell): string {
  if (group !== undefined) return `${group.statuses.frozen} of ${group.members.length}`;
  const until = session.freeze?.until;
  if (hasFreeze || status !== 'frozen' || until == null || until.getTime() === FOREVER.getTime()) return status;
  return `frz ${timeLeft(until, now).replace(/^(>?\d+[a-z]).*/, '$1')}`;
}

function usedText({session: {percentageUsed}}: Watched, isWide: boolean): string {
  if (percentageUsed === null) return NOTHING;
  if (percentageUsed.gte(1000)) return isWide ? '>999%' : '>9x';
  // Rounded down: a budget that is not quite spent is not 100 %.
  return isWide ? formatPercentage(percentageUsed) : `${percentageUsed.toFixed(0, 'down')}%`;
}

function usedLook({session: {percentageUsed}}: Watched): Look {
  if (percentageUsed === null) return 'dim';
  return percentageUsed.gte(95) ? 'red' : percentageUsed.gte(80) ? 'yellow' : 'green';
}

function amountColumn(title: string, sort: WatchField, value: (one: Watched) => Money | null): Column {
  return {
    title,
    sort,
    align: 'right',
    text: ({one, isWide}) => amountText(value(one), isWide).replace(isWide ? '' : '$', ''),
  };
}

/** Larger amounts are rounded to thousands or millions. */
const MAX_DIGITS = 1_000_000;

export function amountText(amount: Money | null, isWide: boolean): string {
  if (amount === null) return 'invalid';
  if (amount.gte(MAX_DIGITS)) return shortAmount(amount);
  return isWide ? formatMoney(amount) : `$${amount.toFixed(2)}`;
}

function shortAmount(amount: Money): string {
  const units = ['M', 'G', 'T', 'P', 'E'];
  const index = Math.min(Math.floor((amount.exponent - 6) / 3), units.length - 1);
  const scaled = amount.shift(-(6 + index * 3));
  if (scaled.lt(10_000)) return `$${scaled.toFixed(2)}${units[index] ?? ''}`;
  const {exponent} = amount.round(2 - amount.exponent, 'half-up');
  return `$${amount.shift(-exponent).toFixed(2)}e+${exponent}`;
}

function rateText({rate, session: {spent}}: Watched, isWide: boolean): string {
  if (rate === null) return spent === null ? NOTHING : NOT_YET;
  if (rate.eq(0)) return NOTHING;
  if (rate.gte(MAX_DIGITS)) return shortAmount(rate).slice(1);
  const digits = rate.toFixed(isWide ? 4 : 3);
  return /^0\.0*$/.test(digits) ? '>0' : digits;
}

function emptyText(one: Watched): string {
  const {status, session, rate} = one;
  if (status === 'empty') return 'now';
  if (status === 'frozen' || session.remaining === null) return NOTHING;
  if (rate === null) return NOT_YET;
  const forecast = forecastOf(one);
  return typeof forecast === 'number' ? formatLength(forecast) : (forecast ?? NOTHING);
}

function emptyLook(one: Watched): Look {
  const seconds = emptyIn(one);
  if (one.status === 'empty') return 'red';
  if (seconds === null) return 'dim';
  return seconds < 600 ? 'red' : seconds < 3600 ? 'yellow' : 'plain';
}

/** `59m12s  Unusual traffic pattern`; the problem where there is one. */
function freezeText(one: Watched, now: Date): string {
  const {status, session} = one;
  const until = session.freeze?.until;
  return status === 'frozen' && until != null ? `${timeLeft(until, now)}  ${reasonText(one)}` : reasonText(one);
}

function reasonText({status, session: {freeze, problems}, group}: Watched): string {
  if (group !== undefined) return describeStatuses(group);
  if (status === 'invalid') return showMessage(problems[0] ?? '');
  return status === 'frozen' ? showCut(freeze?.reason ?? 'no reason', roomOf(process.stdout)) : '';
}

/** `1 empty, 2 low, 9 ok`, without those that are frozen. */
export function describeStatuses({statuses}: WatchedGroup): string {
  const others = STATUSES.filter((status) => status !== 'frozen' && statuses[status] > 0);
  return others.map((status) => `${statuses[status]} ${status}`).join(', ');
}

export function timeLeft(until: Date, now: Date): string {
  if (until.getTime() === FOREVER.getTime()) return 'no end';
  return formatLength(Math.max(0, Math.ceil((until.getTime() - now.getTime()) / 1000)));
}

/** The two largest units: `4m59s`, `1h02m`, `3d04h`. */
export function formatLength(seconds: number): string {
  const two = (number: number): string => String(Math.floor(number)).padStart(2, '0');
  if (seconds < 60) return `${Math.floor(seconds)}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h${two((seconds % 3600) / 60)}m`;
  if (seconds < 100 * 86_400) return `${Math.floor(seconds / 86_400)}d${two((seconds % 86_400) / 3600)}h`;
  return '>99d';
}
