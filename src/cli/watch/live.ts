import {TokengateError} from '../../lib/values/errors.js';
import {EXIT, endWith} from '../terminal/exit-code.js';
import {guardRawMode, untilForeground} from '../terminal/foreground.js';
import {onInterrupt} from '../terminal/interrupts.js';
import {hasColour} from '../text/colour.js';
import {type LiveOptions, LiveView} from './live-view.js';
import type {Message} from './state.js';

/** @throws TokengateError TERMINAL_REQUIRED without a terminal for keys and screen */
export function requireTerminal(): void {
  const {stdin, stdout, env} = process;
  const isDumb = env['TERM'] === 'dumb';
  if (stdin.isTTY && stdout.isTTY && !isDumb) return;
  const why = isDumb ? 'a terminal that can move its cursor, and TERM is dumb' : 'a terminal for stdin and stdout';
  throw new TokengateError('TERMINAL_REQUIRED', `The live view needs ${why}.`, {
    hint: 'Use --once for one frame, or --format ndjson for a line for each change.',
  });
}

/** Shows the live view until the user leaves it; returns the remaining messages. */
export async function showLive(options: LiveOptions): Promise<readonly Message[]> {
  refuseWithoutMemory();
  // A separate file of the bundle: its library takes as long to load as everything else.
  const {showScreen} = await import('./screen.js');
  await untilForeground();
  guardRawMode();
  const ui = new LiveView(options);
  onInterrupt(ui.leave);
  // The terminal is gone; the signal may come later.
  const hangUp = (): void => {
    endWith(EXIT.SIGHUP);
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

/** The screen's layout engine is WebAssembly, for which Node.js reserves addresses by the gigabyte. */
function refuseWithoutMemory(): void {
  // Its types come only with those of a browser.
  const {WebAssembly: wasm} = globalThis as unknown as {
    WebAssembly: {Memory: new (limits: {initial: number}) => unknown};
  };
  try {
    new wasm.Memory({initial: 1});
  } catch (error) {
    throw new TokengateError('NOT_ENOUGH_MEMORY', 'The live view needs more memory than a process may have here.', {
      hint: 'Raise the limit (ulimit -v), or use --once for one frame.',
      cause: error,
    });
  }
}
