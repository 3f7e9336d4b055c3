import type {TableUserConfig} from 'table';

import {type Colour, paint} from './colour.js';

/** `table` takes 0.15 ms a row. Above this many rows the same lines are drawn here, forty times faster. */
const LARGE = 500;
const PLAIN = /^[\x20-\x7e]*$/;

const DOUBLE = {
  topBody: '═',
  topJoin: '╦',
  topLeft: '╔',
  topRight: '╗',
  bottomBody: '═',
  bottomJoin: '╩',
  bottomLeft: '╚',
  bottomRight: '╝',
  bodyLeft: '║',
  bodyRight: '║',
  bodyJoin: '║',
  joinBody: '═',
  joinLeft: '╠',
  joinRight: '╣',
  joinJoin: '╬',
};

/** On a terminal the table fits its width; elsewhere its lines keep the form that scripts know. */
interface TableOptions {
  /** A line separates the last row. */
  hasFooter?: boolean;
  /** Columns of text that may be truncated where the terminal is too narrow. */
  flexible?: readonly number[];
  /** Columns of amounts, aligned right on a terminal. */
  right?: readonly number[];
  colour?: (cell: string, column: number) => Colour | undefined;
}

/** The minimum width of a flexible column, with and without blanks around cells. */
const LEAST = {roomy: 10, narrow: 4};

/**
 * A table with a double border and a line below its header, piece by piece. Cells must be safe to show and have one
 * line each; wide characters take two columns, combining ones none.
 */
export async function drawTable(
  header: readonly string[],
  rows: readonly string[][],
  options: TableOptions = {},
): Promise<Iterable<string>> {
  // `table` gives most combining characters a column of their own.
  if (process.stdout.isTTY || rows.length > LARGE || !isPlain(rows)) return drawLargeTable(header, rows, options);
  const {table} = await import('table');
  const {hasFooter = false} = options;
  const config: TableUserConfig = {
    border: DOUBLE,
    drawHorizontalLine: (line, count) => line <= 1 || line === count || (hasFooter && line === count - 1),
  };
  return [table([[...header], ...rows], config)];
}

/** The same text that `table` would return for ASCII, but for any characters. */
export async function drawLargeTable(
  header: readonly string[],
  rows: readonly string[][],
  options: TableOptions = {},
): Promise<Iterable<string>> {
  const {isTTY, columns} = process.stdout;
  const {hasFooter = false} = options;
  if (!isTTY && isPlain(rows)) return drawLines(header, rows, {hasFooter}, (text) => text.length);
  const {cutMiddle, widthOf} = await import('./width.js');
  if (!isTTY) return drawLines(header, rows, {hasFooter}, widthOf);
  return drawLines(header, rows, {...options, room: columns || Infinity, cut: cutMiddle}, widthOf);
}

function isPlain(rows: readonly string[][]): boolean {
  return rows.every((row) => row.every((cell) => PLAIN.test(cell)));
}

interface LineOptions extends TableOptions {
  /** The width of a terminal. */
  room?: number;
  cut?: (text: string, width: number) => string;
}

function* drawLines(
  header: readonly string[],
  rows: readonly string[][],
  {hasFooter = false, flexible = [], right = [], colour, room = Infinity, cut}: LineOptions,
  widthOf: (text: string) => number,
): Generator<string> {
  const natural = header.map(widthOf);
  for (const row of rows) {
    for (const [column, cell] of row.entries()) natural[column] = Math.max(natural[column] ?? 0, widthOf(cell));
  }
  const {widths, edge} = fitWidths(natural, flexible, room);
  const line = (left: string, join: string, right: string): string =>
    `${left}${widths.map((width) => DOUBLE.topBody.repeat(width + 2 * edge.length)).join(join)}${right}\n`;
  const content = (cells: readonly string[], isHeader = false): string => {
    const padded = cells.map((whole, column) => {
      const width = widths[column] ?? 0;
      const cell = cut?.(whole, width) ?? whole;
      const padding = ' '.repeat(width - widthOf(cell));
      const tone = isHeader ? undefined : colour?.(whole, column);
      const shown = tone === undefined ? cell : paint(tone, cell, process.stdout);
      return right.includes(column) ? `${edge}${padding}${shown}${edge}` : `${edge}${shown}${padding}${edge}`;
    });
    return `${DOUBLE.bodyLeft}${padded.join(DOUBLE.bodyJoin)}${DOUBLE.bodyRight}\n`;
  };
  yield line(DOUBLE.topLeft, DOUBLE.topJoin, DOUBLE.topRight);
  yield content(header, true);
  const separator = line(DOUBLE.joinLeft, DOUBLE.joinJoin, DOUBLE.joinRight);
  yield separator;
  for (const [index, row] of rows.entries()) {
    if (hasFooter && index === rows.length - 1 && index > 0) yield separator;
    yield content(row);
  }
  yield line(DOUBLE.bottomLeft, DOUBLE.bottomJoin, DOUBLE.bottomRight);
}

/** Narrows flexible columns, the widest first, until all fit; without blanks around cells if need be. */
function fitWidths(natural: readonly number[], flexible: readonly number[], room: number): Fitted {
  const fit = (edge: string, least: number): Fitted & {isFit: boolean} => {
    const widths = [...natural];
    const widthOf = (column: number): number => widths[column] ?? 0;
    let excess = widths.reduce((sum, width) => sum + width + 2 * edge.length + 1, 1) - room;
    for (; excess > 0; excess--) {
      const widest = flexible.reduce((best, column) => (widthOf(column) > widthOf(best) ? column : best), -1);
      if (widthOf(widest) <= least) break;
      widths[widest] = widthOf(widest) - 1;
    }
    return {widths, edge, isFit: excess <= 0};
  };
  const roomy = fit(' ', LEAST.roomy);
  return roomy.isFit ? roomy : fit('', LEAST.narrow);
}

interface Fitted {
  widths: number[];
  edge: string;
}
