import {EventEmitter} from 'node:events';

import {Box, type Key, render, Transform, useInput} from 'ink';
import type {ReactElement} from 'react';

import {untilForeground} from '../terminal/foreground.js';
import {type Line, type Palette, toAnsi} from './cells.js';
import {openTerminal, type Terminal} from './terminal.js';
import type {KeyName, Ui} from './ui.js';

const KEYS: readonly [keyof Key, KeyName][] = [
  ['upArrow', 'up'],
  ['downArrow', 'down'],
  ['pageUp', 'pageUp'],
  ['pageDown', 'pageDown'],
  ['home', 'home'],
  ['end', 'end'],
  ['return', 'enter'],
  ['escape', 'escape'],
  ['backspace', 'erase'],
  ['delete', 'erase'],
];

/** Past this time the process was not stopped by Ctrl-Z: there is no shell that would let it go on. */
const STOP_MS = 100;

interface ScreenProps {
  ui: Ui;
  palette: Palette;
  terminal: Terminal;
}

/**
 * Shows the view on the terminal. Resolves when it is there, with what takes it away; the end of the process does too.
 * In the bundle, where the library's layout engine is loaded late, it waits for that.
 */
export function showScreen({ui, palette}: {ui: Ui; palette: Palette}): Promise<() => void> {
  const {stdin, stdout} = process;
  const terminal = openTerminal({stdin, stdout});
  // Given the whole frame each time, the terminal writes what differs. Ink itself would clear a full screen each time.
  const frames = Object.assign(new EventEmitter(), {
    get columns() {
      return terminal.columns;
    },
    write(frame: string) {
      terminal.show(frame);
    },
  });
  terminal.enter();
  const element = (): ReactElement => <Screen ui={ui} palette={palette} terminal={terminal} />;
  const app = render(element(), {
    stdout: frames as unknown as NodeJS.WriteStream,
    stdin,
    debug: true,
    exitOnCtrlC: false,
    patchConsole: false,
  });
  const draw = (): void => {
    app.rerender(element());
  };
  const redraw = (): void => {
    terminal.redraw();
    draw();
  };
  const enter = async (): Promise<void> => {
    await untilForeground();
    terminal.enter();
    draw();
  };
  const resume = (): void => {
    terminal.leave();
    void enter();
  };
  /** Gives the terminal back to the shell until the process goes on. */
  const stop = (): void => {
    terminal.leave();
    process.off('SIGTSTP', stop);
    process.kill(process.pid, 'SIGTSTP');
    setTimeout(() => {
      process.on('SIGTSTP', stop);
      void enter();
    }, STOP_MS);
  };
  const unsubscribe = ui.subscribe(draw);
  process.on('exit', terminal.leave);
  process.on('SIGCONT', resume).on('SIGTSTP', stop);
  stdout.on('resize', redraw);
  return Promise.resolve(() => {
    unsubscribe();
    terminal.leave();
    app.unmount();
    process.off('exit', terminal.leave).off('SIGCONT', resume).off('SIGTSTP', stop);
    stdout.off('resize', redraw);
  });
}

function Screen({ui, palette, terminal}: ScreenProps): ReactElement {
  useInput((input, key) => {
    const name = KEYS.find(([field]) => key[field])?.[1];
    if (name !== undefined) ui.press(name);
    else if (key.ctrl) control(input, ui, terminal);
    else if (!key.meta) typeAll(input, ui, terminal);
  });
  const {columns, rows} = terminal;
  const {lines, panel, keys} = ui.frame(columns, rows);
  // The library measures and keeps every text that it has ever been given, so it is given the same one always, for which
  // the line is put in at the end. A line is as wide as it has to be already.
  const show = (line: Line, index: number): ReactElement => (
    <Transform key={index} transform={() => toAnsi(line, palette)}>
      .
    </Transform>
  );
  return (
    <Box flexDirection="column" width={columns} height={rows}>
      {lines.map(show)}
      {panel !== undefined && (
        <Box
          flexDirection="column"
          flexShrink={0}
          borderStyle="round"
          paddingX={1}
          {...(palette === 'colour' ? {borderColor: panel.colour} : {})}
        >
          {panel.lines.map(show)}
        </Box>
      )}
      {show(keys, -1)}
    </Box>
  );
}

/** Keys that come together, as when they are typed fast or pasted; the library names only those that come alone. */
function typeAll(input: string, ui: Ui, terminal: Terminal): void {
  // eslint-disable-next-line no-control-regex -- that is what such keys send
  for (const [part] of input.matchAll(/[\x00-\x1f\x7f]|[^\x00-\x1f\x7f]+/g)) {
    if (part === '\r' || part === '\n') ui.press('enter');
    else if (part === '\b' || part === '\x7f') ui.press('erase');
    else if (part < ' ') control(String.fromCharCode(part.charCodeAt(0) + 0x60), ui, terminal);
    else ui.type(part);
  }
}

function control(letter: string, ui: Ui, terminal: Terminal): void {
  // In raw mode the terminal makes no signals of these.
  if (letter === 'c') process.kill(process.pid, 'SIGINT');
  else if (letter === 'z') process.kill(0, 'SIGTSTP');
  else if (letter === 'l') terminal.redraw();
  else if (letter === 'u') ui.press('clear');
}
