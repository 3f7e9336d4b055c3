import {EventEmitter} from 'node:events';
import {emitKeypressEvents, type Interface, type Key as Keypress} from 'node:readline';

import {Box, render, Transform} from 'ink';
import type {ReactElement} from 'react';

import {untilForeground} from '../terminal/foreground.js';
import {type Line, type Palette, toAnsi} from './drawing/cells.js';
import type {Frame} from './drawing/frame.js';
import type {Key, KeyName} from './reduce.js';
import type {Message} from './state.js';
import {openTerminal, type Terminal} from './terminal.js';

/** Keys as Node.js names them; with Ctrl and Alt as `ctrl-x` and `meta-x`. */
const KEYS: Record<string, KeyName> = {
  up: 'up',
  down: 'down',
  left: 'left',
  right: 'right',
  pageup: 'pageUp',
  pagedown: 'pageDown',
  home: 'home',
  end: 'end',
  return: 'enter',
  enter: 'enter',
  escape: 'escape',
  backspace: 'erase',
  delete: 'delete',
  f1: 'f1',
  f10: 'f10',
  'ctrl-a': 'home',
  'ctrl-e': 'end',
  'ctrl-b': 'left',
  'ctrl-f': 'right',
  'ctrl-p': 'up',
  'ctrl-n': 'down',
  'ctrl-d': 'delete',
  'ctrl-h': 'erase',
  'ctrl-u': 'eraseBefore',
  'ctrl-k': 'eraseAfter',
  'ctrl-w': 'eraseWord',
  'meta-backspace': 'eraseWord',
  'ctrl-left': 'wordLeft',
  'ctrl-right': 'wordRight',
  'meta-left': 'wordLeft',
  'meta-right': 'wordRight',
  'meta-b': 'wordLeft',
  'meta-f': 'wordRight',
};

/** If nothing follows Esc within this time, it was the key itself. */
const ESCAPE_MS = 50;

/** If the process still runs after this time, Ctrl-Z has not stopped it: there is no shell to continue it. */
const STOP_MS = 100;

/** The content of the screen, and the receiver of its keys. */
export interface Ui {
  /** Calls the listener for each new frame. */
  subscribe(listener: () => void): () => void;
  frame(columns: number, rows: number): Frame;
  press(key: Key): void;
  /** Leaves the view after a change that is under way has finished. */
  leave: () => void;
  /** Resolves when the view is left, with the remaining messages. */
  readonly left: Promise<readonly Message[]>;
  close(): void;
}

interface ScreenProps {
  ui: Ui;
  palette: Palette;
  terminal: Terminal;
}

/**
 * Shows the view on the terminal. Resolves when it is visible, with a function that removes it; the end of the process
 * removes it too. In the bundle it waits for the library's layout engine, which is loaded late.
 */
export function showScreen({ui, palette}: {ui: Ui; palette: Palette}): Promise<() => void> {
  const {stdin, stdout} = process;
  const terminal = openTerminal({stdin, stdout});
  // It gets the whole frame each time, and writes the lines that differ: Ink itself would clear a full screen each
  // time.
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
  const stopKeys = readKeys(stdin, {
    onKey: (key) => {
      ui.press(key);
    },
    onControl(letter) {
      // In raw mode the terminal sends no signals for these keys.
      if (letter === 'c') process.kill(process.pid, 'SIGINT');
      else if (letter === 'z') process.kill(0, 'SIGTSTP');
      else if (letter === 'l') terminal.redraw();
    },
  });
  process.on('exit', terminal.leave);
  process.on('SIGCONT', resume).on('SIGTSTP', stop);
  // Not stdout's 'resize', which stays silent if the size is the same again: the terminal may have cut lines meanwhile.
  process.on('SIGWINCH', redraw);
  return Promise.resolve(() => {
    unsubscribe();
    stopKeys();
    terminal.leave();
    app.unmount();
    process.off('exit', terminal.leave).off('SIGCONT', resume).off('SIGTSTP', stop).off('SIGWINCH', redraw);
  });
}

function Screen({ui, palette, terminal}: ScreenProps): ReactElement {
  const {columns, rows} = terminal;
  const {lines, panel, keys} = ui.frame(columns, rows);
  // The library measures every text and keeps it for ever. So it always gets the same text, which is replaced by the
  // line at the end. The line already has the right width.
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

interface KeyHandlers {
  onKey: (key: Key) => void;
  /** For Ctrl and a letter that the view does not use. */
  onControl: (letter: string) => void;
}

/**
 * Reads keys with Node.js's own decoder, which knows more of them than the library. Returns a function that ends it.
 */
function readKeys(stdin: NodeJS.ReadStream, {onKey, onControl}: KeyHandlers): () => void {
  let turn = 0;
  let pasted: string | undefined;
  const nextTurn = (): void => {
    turn++;
  };
  const read = (text: string | undefined, {name = '', ctrl = false, meta = false}: Keypress): void => {
    if (ctrl && ['c', 'l', 'z'].includes(name)) {
      onControl(name);
    } else if (name === 'paste-start') {
      pasted = '';
    } else if (name === 'paste-end') {
      onKey({pasted: pasted ?? '', turn});
      pasted = undefined;
    } else if (pasted !== undefined) {
      pasted += text ?? '';
    } else {
      const key = KEYS[`${ctrl ? 'ctrl-' : ''}${meta && name !== 'escape' ? 'meta-' : ''}${name}`];
      if (key !== undefined) onKey({name: key, turn});
      else if (text !== undefined && !ctrl && !meta && text >= ' ') onKey({text, turn});
    }
  };
  stdin.on('data', nextTurn);
  emitKeypressEvents(stdin, {escapeCodeTimeout: ESCAPE_MS} as unknown as Interface);
  stdin.on('keypress', read);
  stdin.resume();
  return () => {
    stdin.off('data', nextTurn).off('keypress', read).pause();
  };
}
