import {type ChildProcessByStdio, spawn} from 'node:child_process';
import {once} from 'node:events';
import type {Writable} from 'node:stream';

import {EXIT} from './exit-code.js';
import {isForeground} from './foreground.js';
import {onInterrupt} from './interrupts.js';
import {reportWarning} from './report.js';
import {writeOutput} from './stdout.js';

type Pager = ChildProcessByStdio<Writable, null, null>;

/** Options of less without $PAGER: keep colours, leave short output on the screen, and do not clear it at the end. */
const USUAL = {program: 'less', options: 'FRX'};
/** Characters that a shell would interpret. */
const SHELL = /[^\w@%+=:,./ -]/;

/**
 * Writes to the terminal, through $PAGER (`less`) when the text is longer than the screen. Without a pager if $PAGER is
 * empty or cannot be started, or if the terminal cannot move its cursor.
 */
export async function writePaged(pieces: Iterable<string> | AsyncIterable<string>): Promise<void> {
  const program = process.env['PAGER'] ?? USUAL.program;
  if (/^(?:\s*|cat)$/.test(program) || process.env['TERM'] === 'dumb' || !isForeground()) {
    await writeOutput(pieces);
    return;
  }
  const {columns, rows} = process.stdout;
  let held = '';
  let lines = 0;
  let pager: PagedOutput | undefined;
  let isMissing = false;
  try {
    for await (const piece of pieces) {
      if (isMissing) {
        await writeOutput([piece]);
      } else if (pager !== undefined) {
        if (!(await pager.write(piece))) break;
      } else {
        held += piece;
        lines += countLines(piece, columns);
        // The shell's prompt takes a line.
        if (lines < rows) continue;
        pager = await PagedOutput.start(program);
        isMissing = pager === undefined;
        const first = held;
        held = '';
        if (pager === undefined) await writeOutput([first]);
        else if (!(await pager.write(first))) break;
      }
    }
    if (held !== '') await writeOutput([held]);
  } finally {
    await pager?.end();
  }
}

/** The running pager. The terminal is its own, and an interrupt waits until it gives the terminal back. */
class PagedOutput {
  private constructor(
    private readonly pager: Pager,
    private readonly closed: Promise<unknown>,
  ) {
    // It has ended before reading everything, as with `q`.
    pager.stdin.on('error', () => undefined);
    this.endAtInterrupt();
  }

  /** Undefined if there is no such program; warns if $PAGER names it. */
  static async start(program: string): Promise<PagedOutput | undefined> {
    const env = {...process.env, LESS: process.env['LESS'] ?? USUAL.options, LV: process.env['LV'] ?? '-c'};
    const [file = '', ...options] = program.trim().split(/\s+/);
    const stdio = ['pipe', 'inherit', 'inherit'] as const;
    const pager = SHELL.test(program)
      ? spawn(program, {env, stdio: [...stdio], shell: true})
      : spawn(file, options, {env, stdio: [...stdio]});
    const closed = once(pager, 'close').catch(() => undefined);
    try {
      await once(pager, 'spawn');
    } catch (error) {
      if (program !== USUAL.program) reportWarning(`Cannot start the pager '${program}': ${(error as Error).message}.`);
      return undefined;
    }
    return new PagedOutput(pager, closed);
  }

  /** False once the pager takes no more. */
  async write(text: string): Promise<boolean> {
    const {stdin} = this.pager;
    if (!stdin.writable) return false;
    if (!stdin.write(text)) await Promise.race([once(stdin, 'drain').catch(() => undefined), this.closed]);
    return stdin.writable;
  }

  async end(): Promise<void> {
    this.pager.stdin.end();
    await this.closed;
  }

  /** Ctrl-C is for the pager, which may continue; any other signal ends the pager as well. */
  private endAtInterrupt(): void {
    onInterrupt((code) => {
      this.endAtInterrupt();
      if (code === EXIT.SIGINT) this.pager.stdin.destroy();
      else this.pager.kill();
    });
  }
}

/** The number of terminal lines that it takes, or a few more. */
function countLines(text: string, columns: number): number {
  const lines = text.split('\n').slice(0, -1);
  return lines.reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / (columns || Infinity))), 0);
}
