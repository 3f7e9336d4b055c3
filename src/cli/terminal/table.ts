import type {TableUserConfig} from 'table';

/** `table` takes 0.15 ms a row, 15 s for 100,000; past this many rows the same lines are drawn here, forty times faster. */
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

/**
 * A table with a double border and a line below its header, piece by piece. Cells must be safe to show and of one line
 * each; wide characters take two columns, combining ones none. With a footer the last row is set off by a line.
 */
export async function drawTable(
  header: readonly string[],
  rows: readonly string[][],
  hasFooter = false,
): Promise<Iterable<string>> {
  // `table` gives most combining characters a column of their own.
  if (rows.length > LARGE || !isPlain(rows)) return drawLargeTable(header, rows, hasFooter);
  const {table} = await import('table');
  const config: TableUserConfig = {
    border: DOUBLE,
    drawHorizontalLine: (line, count) => line <= 1 || line === count || (hasFooter && line === count - 1),
  };
  return [table([[...header], ...rows], config)];
}

/** The same text as `table` gives for rows of ASCII, for any. */
export async function drawLargeTable(
  header: readonly string[],
  rows: readonly string[][],
  hasFooter = false,
): Promise<Iterable<string>> {
  const widthOf = isPlain(rows) ? (text: string): number => text.length : (await import('./width.js')).widthOf;
  return drawLines(header, rows, hasFooter, widthOf);
}

function isPlain(rows: readonly string[][]): boolean {
  return rows.every((row) => row.every((cell) => PLAIN.test(cell)));
}

function* drawLines(
  header: readonly string[],
  rows: readonly string[][],
  hasFooter: boolean,
  widthOf: (text: string) => number,
): Generator<string> {
  const widths = header.map(widthOf);
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, widthOf(cell));
  }
  const line = (left: string, join: string, right: string): string =>
    `${left}${widths.map((width) => DOUBLE.topBody.repeat(width + 2)).join(join)}${right}\n`;
  const content = (cells: readonly string[]): string => {
    const padded = cells.map((cell, column) => ` ${cell}${' '.repeat((widths[column] ?? 0) - widthOf(cell))} `);
    return `${DOUBLE.bodyLeft}${padded.join(DOUBLE.bodyJoin)}${DOUBLE.bodyRight}\n`;
  };
  yield line(DOUBLE.topLeft, DOUBLE.topJoin, DOUBLE.topRight);
  yield content(header);
  const separator = line(DOUBLE.joinLeft, DOUBLE.joinJoin, DOUBLE.joinRight);
  yield separator;
  for (const [index, row] of rows.entries()) {
    if (hasFooter && index === rows.length - 1 && index > 0) yield separator;
    yield content(row);
  }
  yield line(DOUBLE.bottomLeft, DOUBLE.bottomJoin, DOUBLE.bottomRight);
}
