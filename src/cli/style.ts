import {styleText} from 'node:util';

type Style = 'green' | 'red' | 'yellow';

/** Colours text for a stream that is a terminal; NO_COLOR, FORCE_COLOR and TERM=dumb decide before that. */
export function paint(style: Style, text: string, stream: NodeJS.WriteStream): string {
  return hasColour(stream) ? styleText(style, text) : text;
}

/** NO_COLOR, FORCE_COLOR and TERM=dumb decide before the stream does. */
export function hasColour(stream: NodeJS.WriteStream): boolean {
  const {NO_COLOR: none, FORCE_COLOR: force, TERM: term} = process.env;
  if (none !== undefined && none !== '') return false;
  if (force !== undefined && force !== '') return force !== '0' && force !== 'false';
  return stream.isTTY && term !== 'dumb';
}
