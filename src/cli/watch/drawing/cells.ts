import {showCut} from '../../text/escape.js';
import {widthOf, widthOfCharacter} from '../../text/width.js';

/** How a piece of a line looks. The meaning is always in its text too. */
export type Look =
  'plain' | 'dim' | 'bold' | 'red' | 'green' | 'yellow' | 'cyan' | 'blue' | 'magenta' | 'bar' | 'selected';

/** A piece of a line; its text is safe to show. */
export interface Piece {
  text: string;
  look?: Look;
}
export type Line = readonly Piece[];

const SGR: Record<Look, {colour: string; mono: string}> = {
  plain: {colour: '', mono: ''},
  dim: {colour: '90', mono: ''},
  bold: {colour: '1', mono: '1'},
  red: {colour: '1;31', mono: '1'},
  green: {colour: '32', mono: ''},
  yellow: {colour: '33', mono: ''},
  cyan: {colour: '36', mono: ''},
  blue: {colour: '94', mono: ''},
  magenta: {colour: '35', mono: ''},
  bar: {colour: '30;46', mono: '7'},
  selected: {colour: '7', mono: '7'},
};

/** How much of a terminal's style may be used: `none` is text alone, `mono` has no colours. */
export type Palette = 'colour' | 'mono' | 'none';

/** A line with the codes for a terminal. */
export function toAnsi(line: Line, palette: Palette): string {
  if (palette === 'none')
    return line
      .map(({text}) => text)
      .join('')
      .trimEnd();
  return line
    .map(({text, look = 'plain'}) => {
      const code = SGR[look][palette];
      return code === '' || text === '' ? text : `\x1b[${code}m${text}\x1b[0m`;
    })
    .join('');
}

/** The text in exactly this many columns: cut with `…` at the end, or padded. */
export function fit(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  const cut = truncate(text, width);
  const padding = ' '.repeat(Math.max(0, width - widthOf(cut)));
  return align === 'left' ? cut + padding : padding + cut;
}

function truncate(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let cut = '';
  let used = 0;
  for (const character of text) {
    used += widthOfCharacter(character);
    if (used > width - 1) break;
    cut += character;
  }
  return width <= 0 ? '' : `${cut}…`;
}

/** A line in exactly this many columns. */
export function fitLine(line: Line, width: number): Line {
  const short = shorten(line, width);
  const left = width - lineWidth(short);
  return left > 0 ? [...short, {text: ' '.repeat(left)}] : short;
}

/** A line in at most this many columns. */
export function shorten(line: Line, width: number): Line {
  const pieces: Piece[] = [];
  let left = width;
  for (const {text, look = 'plain'} of line) {
    const cut = truncate(text, left);
    if (cut !== '') pieces.push({text: cut, look});
    left -= widthOf(cut);
    if (cut !== text) break;
  }
  return pieces;
}

/** `left` and `right` at the two ends of a line; if both do not fit, `left` is dropped first. */
export function spread(left: Line, right: Line, width: number): Line {
  const gap = width - lineWidth(left) - lineWidth(right);
  return gap < 1 ? fitLine(left, width) : [...left, {text: ' '.repeat(gap)}, ...right];
}

export function lineWidth(line: Line): number {
  return line.reduce((sum, {text}) => sum + widthOf(text), 0);
}

/** No line has room for more characters. */
export const MOST = 1000;

/** Untrusted text as a piece. */
export function untrusted(text: string, look: Look = 'plain'): Piece {
  return {text: showCut(text, MOST), look};
}
