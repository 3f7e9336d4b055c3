import type {Status} from '../../lib/watch/row.js';

/** The codes that a terminal takes for colours. */
const COLOURS = {red: 31, green: 32, yellow: 33, magenta: 35, cyan: 36};
export type Colour = keyof typeof COLOURS;

/** The colours of a session's status. */
export const STATUS_COLOURS: Record<Status, Colour> = {
  frozen: 'cyan',
  invalid: 'magenta',
  empty: 'red',
  low: 'yellow',
  ok: 'green',
};

/** Colours text for a stream that is a terminal; NO_COLOR, FORCE_COLOR and TERM=dumb override that. */
export function paint(colour: Colour, text: string, stream: NodeJS.WriteStream): string {
  // Node.js's styleText always looks at stdout, and treats an empty NO_COLOR as set.
  return hasColour(stream) ? `\x1b[${COLOURS[colour]}m${text}\x1b[39m` : text;
}

/** NO_COLOR, FORCE_COLOR and TERM=dumb decide before the stream does. */
export function hasColour(stream: NodeJS.WriteStream): boolean {
  const {NO_COLOR: none, FORCE_COLOR: force, TERM: term} = process.env;
  if (none !== undefined && none !== '') return false;
  if (force !== undefined && force !== '') return force !== '0' && force !== 'false';
  return stream.isTTY && term !== 'dumb';
}

/** A heading on a terminal. */
export function bold(text: string, stream: NodeJS.WriteStream): string {
  return hasColour(stream) ? `\x1b[1m${text}\x1b[22m` : text;
}
