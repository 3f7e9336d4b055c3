/** Switches to the alternate screen, without a cursor; long lines do not wrap, and pasted text is marked as such. */
const ENTER = '\x1b[?1049h\x1b[?7l\x1b[?25l\x1b[?2004h';
const LEAVE = '\x1b[0m\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[?1049l';
/** Terminals that know these codes show nothing half drawn between them; others ignore them. */
const [BEGIN, END] = ['\x1b[?2026h', '\x1b[?2026l'];

/** The size to assume if a terminal does not know its own. */
const [COLUMNS, ROWS] = [80, 24];

/** The terminal as a screen of lines. */
export interface Terminal {
  readonly columns: number;
  readonly rows: number;
  /** Shows a frame: only the lines that differ are written. */
  show: (frame: string) => void;
  /** Draws everything again. */
  redraw: () => void;
  /** Restores the terminal; may be called twice, and at the end of the process. */
  leave: () => void;
  /** Takes it again after `leave`. */
  enter: () => void;
}

export function openTerminal({stdin, stdout}: Pick<NodeJS.Process, 'stdin' | 'stdout'>): Terminal {
  let shown: string[] = [];
  let wanted: string[] = [];
  let isOpen = false;
  const draw = (): void => {
    if (!isOpen) return;
    const changes = wanted.map((line, row) => (line === shown[row] ? '' : `\x1b[${row + 1};1H\x1b[2K${line}`)).join('');
    const rest = wanted.length < shown.length ? `\x1b[${wanted.length + 1};1H\x1b[J` : '';
    shown = wanted;
    if (changes !== '' || rest !== '') stdout.write(BEGIN + changes + rest + END);
  };
  const redraw = (): void => {
    shown = [];
    // Lines drawn for another size would pile up at the bottom.
    wanted = wanted.slice(0, terminal.rows);
    if (isOpen) stdout.write('\x1b[0m\x1b[2J');
    draw();
  };
  const terminal: Terminal = {
    get columns() {
      return stdout.columns || COLUMNS;
    },
    get rows() {
      return stdout.rows || ROWS;
    },
    show(frame) {
      // Without the last line feed, which would scroll the screen.
      wanted = frame.split('\n').slice(0, terminal.rows);
      draw();
    },
    redraw,
    leave() {
      if (!isOpen) return;
      isOpen = false;
      stdin.setRawMode(false);
      stdout.write(END + LEAVE);
    },
    enter() {
      if (isOpen) return;
      isOpen = true;
      stdin.setRawMode(true);
      stdout.write(ENTER);
      redraw();
    },
  };
  return terminal;
}
