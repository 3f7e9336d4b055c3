import {TokengateError} from '../../lib/values/errors.js';
import {hasColour} from '../terminal/colour.js';
import {guardRawMode, untilForeground} from '../terminal/foreground.js';
import {EXIT_CODES, onInterrupt} from '../terminal/interrupts.js';
import {type Message, openUi, type UiOptions} from './ui.js';

/** @throws TokengateError TERMINAL_REQUIRED where there is none for keys and a screen */
export function requireTerminal(): void {
  const {stdin, stdout, env} = process;
  const isDumb = env['TERM'] === 'dumb';
  if (stdin.isTTY && stdout.isTTY && !isDumb) return;
  const why = isDumb ? 'a terminal that can move its cursor, and TERM is dumb' : 'a terminal for stdin and stdout';
  throw new TokengateError('TERMINAL_REQUIRED', `The live view needs ${why}.`, {
    hint: 'Use --once for one frame, or --format ndjson for a line for each change.',
  });
}

/** Shows the live view until it is left, and gives what is still to be said then. */
export async function showLive(options: UiOptions): Promise<Message[]> {
  // A file of its own in the bundle: it needs a library that takes as long to load as all the rest.
  const {showScreen} = await import('./screen.js');
  await untilForeground();
  guardRawMode();
  const ui = openUi(options);
  onInterrupt(ui.leave);
  // The terminal has gone, of which the signal may come later.
  const hangUp = (): void => {
    process.exitCode ??= EXIT_CODES.SIGHUP;
    ui.leave();
  };
  process.stdin.on('error', hangUp).on('end', hangUp);
  const hide = await showScreen({ui, palette: hasColour(process.stdout) ? 'colour' : 'mono'});
  try {
    return await ui.left;
  } finally {
    hide();
    ui.close();
  }
}
