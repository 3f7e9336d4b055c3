import type {ServerInfo} from '../../../lib/redis/contract.js';
import type {Summary, Watched, WatchField} from '../../../lib/watch/row.js';
import {hasColour} from '../../text/colour.js';
import {type Line, type Look, type Palette, toAnsi} from './cells.js';
import {headLine, layOut, layOutWhole, rowLine} from './columns.js';
import {headLines} from './frame.js';

/** The width of the head where no terminal tells one. */
const WIDE = 160;

export interface OnceView {
  server: ServerInfo;
  color: Look | undefined;
  now: Date;
  sort: WatchField;
  reverse: boolean;
  /** The limits on the sessions, in words. */
  limits: readonly string[];
  summary: Summary;
}

/** One frame of the live view with all its rows: as wide as the terminal or, without one, as wide as it needs. */
export function* drawOnce(sessions: readonly Watched[], view: OnceView): Generator<string> {
  const {stdout} = process;
  const {server, color, now, sort, reverse, limits, summary} = view;
  const palette: Palette = hasColour(stdout) ? 'colour' : stdout.isTTY ? 'mono' : 'none';
  // A terminal that does not know its size reports 0.
  const columns = stdout.isTTY && stdout.columns > 0 ? stdout.columns : undefined;
  const layout = columns === undefined ? layOutWhole(sessions, now) : layOut(sessions, now, columns, undefined);
  const head = {server, color, now, interval: undefined, trouble: '', summary, outOf: undefined};
  const heads = (width: number): Line[] => headLines({...head, filters: limits}, width);
  const width = columns ?? Math.max(layout.width, WIDE);
  const line = (content: Line): string => `${toAnsi(content, palette)}\n`;
  for (const content of heads(width)) yield line(content);
  yield line(headLine(layout, sort, reverse));
  for (const one of sessions) yield line(rowLine(one, now, layout));
}
