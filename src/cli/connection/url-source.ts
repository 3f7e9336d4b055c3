import {spawn} from 'node:child_process';

import type {UrlSource} from '../../lib/contexts/config.js';
import {TokengateError} from '../../lib/values/errors.js';
import {keepSecretUrl, redactStderr} from '../terminal/redact.js';
import {readOwnFile} from './secret-file.js';

/** Many times the length of a URL. */
const MAX_BYTES = 64 * 1024;
const URL_FILE = {what: 'URL file', code: 'INVALID_URL_FILE', maxBytes: MAX_BYTES};
/** A program that asks a vault, and perhaps a person, takes longer than Redis. */
const MIN_LIMIT_MS = 10_000;

/** A source that holds the URL, rather than the URL itself. */
export type Hidden = Exclude<UrlSource, {from: 'redis-url'}>;

/**
 * Reads a URL that may hold a password, and keeps it out of all output.
 *
 * @param timeoutMs the connection's time limit: a program may take at least that long
 * @throws TokengateError INVALID_URL_FILE, URL_COMMAND_FAILED
 */
export async function readUrl(source: Hidden, {timeoutMs = 0}: {timeoutMs?: number | undefined}): Promise<string> {
  const url = await readFrom(source, Math.max(timeoutMs, MIN_LIMIT_MS));
  keepSecretUrl(url);
  redactStderr();
  return url;
}

async function readFrom(source: Hidden, limitMs: number): Promise<string> {
  switch (source.from) {
    case 'redis-url-file': {
      const {file} = source;
      const text = readOwnFile(file, URL_FILE).trim();
      if (!/[\r\n]/.test(text)) return text;
      keepSecretUrl(text);
      throw new TokengateError('INVALID_URL_FILE', `The URL file '${file}' holds more than one line.`);
    }
    case 'redis-url-command': {
      const [program, ...words] = source.command;
      return runForLine(program, words, limitMs);
    }
  }
}

/**
 * Runs a program that prints one line, without a shell. Nothing that it prints is ever shown. It has the terminal,
 * where it may ask a person, but not stdin, which may hold IDs.
 */
async function runForLine(program: string, words: readonly string[], limitMs: number): Promise<string> {
  const child = spawn(program, words, {stdio: ['ignore', 'pipe', 'ignore'], windowsHide: true});
  const kill = (): void => void child.kill('SIGKILL');
  let [output, trouble] = ['', ''];
  process.once('exit', kill);
  try {
    await new Promise<void>((resolve) => {
      const end = (why: string): void => {
        trouble ||= why;
        resolve();
      };
      const timer = setTimeout(end, limitMs, `did not end within ${limitMs / 1000} s`);
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        if (output.length > MAX_BYTES) end(`printed more than ${MAX_BYTES / 1024} KiB`);
      });
      child.once('error', (error: NodeJS.ErrnoException) => {
        end(`cannot be started (${error.code ?? error.message})`);
      });
      child.once('close', (code, signal) => {
        clearTimeout(timer);
        end(code === 0 ? '' : signal === null ? `exited with ${String(code)}` : `was ended by ${signal}`);
      });
    });
  } finally {
    kill();
    // A process that it has started may hold it open for ever.
    child.stdout.destroy();
    process.off('exit', kill);
  }
  const line = output.replace(/\r?\n$/, '');
  if (trouble === '' && line.trim() === '') trouble = 'printed nothing';
  if (trouble === '' && /[\r\n]/.test(line)) trouble = 'printed more than one line';
  if (trouble === '') return line;
  throw new TokengateError('URL_COMMAND_FAILED', `The redis-url-command failed: ${program} ${trouble}.`, {
    hint: 'Run it by hand to see what it says: it has to print the URL, and nothing else.',
  });
}
