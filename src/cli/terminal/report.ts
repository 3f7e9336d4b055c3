import type {Errors} from '@oclif/core';

import {TokengateError} from '../../lib/values/errors.js';
import {paint} from '../text/colour.js';
import {guessNearest} from '../text/did-you-mean.js';
import {roomOf, showMessage, showText} from '../text/escape.js';
import {stringifyJson} from '../text/json.js';
import {EXIT, endWith} from './exit-code.js';
import {redact} from './redact.js';
import {OutputClosed} from './stdout.js';

interface Report {
  code: string;
  message: string;
  hint: string | undefined;
}

/** True when the arguments ask for JSON, with `--json` or `--format json`; works before they are parsed. */
export function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  const words = end === -1 ? argv : argv.slice(0, end);
  return words.some((word, index) => {
    // Other short flags may come before the format: -qo json.
    const [, value] = /^(?:--format(?:=|$)|-[0hqy]*o=?)(.*)$/s.exec(word) ?? [];
    return (
      word === '--json' || value === 'json' || (value === '' && !word.endsWith('=') && words[index + 1] === 'json')
    );
  });
}

/** Warnings of one kind to print; the rest are only counted. */
export const MAX_WARNINGS = 20;

/** Reports an error on stderr, in one or two lines or as JSON, and sets the exit code. */
export function reportError(error: unknown, {json, command}: {json: boolean; command?: string | undefined}): void {
  if (error instanceof OutputClosed) return;
  if (isOfOclif(error) && error.code === 'EEXIT') {
    if (error.oclif.exit) endWith(error.oclif.exit);
    return;
  }
  const report = toReport(error, command);
  endWith(report.code === 'INTERRUPTED' ? EXIT.SIGINT : EXIT.failed);
  if (json) {
    const {code, message, hint = null} = report;
    writeError(`${stringifyJson({error: {code, message, hint}}, '  ')}\n`);
  } else {
    reportLine(report.message);
    if (report.hint !== undefined) writeError(`${showError(report.hint)}\n`);
  }
  if (isDebugging() && error instanceof Error) {
    const stack = (error.stack ?? '').split('\n').filter((line) => line.startsWith('    at '));
    writeError(stack.map((line) => `${showText(line)}\n`).join(''));
  }
}

/** Reports one failure among others; the command's own error sums them up. */
export function reportLine(message: string): void {
  writeError(`${paint('red', 'Error:', process.stderr)} ${showError(message)}\n`);
}

export function reportWarning(message: string): void {
  writeError(`${paint('yellow', 'Warning:', process.stderr)} ${showError(message)}\n`);
}

function toReport(error: unknown, command: string | undefined): Report {
  if (error instanceof TokengateError) {
    // oclif wraps its own words around a message about a flag's value.
    const message = error.message.replace(/^Parsing --\S+ \n\t(.*)\nSee more help with --help$/s, '$1');
    return {code: error.code, message, hint: error.hint};
  }
  if (isOfOclif(error)) {
    const hint = `${adviseFlags(error)}${adviseQuotes(error)}See: tokengate ${command === undefined ? '' : `${command} `}--help`;
    return {code: 'INVALID_USAGE', message: usageMessage(error), hint};
  }
  const message = error instanceof Error ? error.message || error.name : String(error);
  return {
    code: 'INTERNAL_ERROR',
    message: `Unexpected error: ${message}`,
    hint: 'This is a bug in tokengate. TOKENGATE_DEBUG=1 shows where.',
  };
}

/** Recognized by oclif's own mark: a plugin may bring another copy of oclif, whose classes differ. */
function isOfOclif(error: unknown): error is Errors.CLIError {
  return error instanceof Error && 'oclif' in error && typeof error.oclif === 'object';
}

/** oclif's message in one line, without its advice and its list of arguments. */
function usageMessage(error: Error): string {
  const {args, flags} = error as {args?: unknown; flags?: unknown};
  if (error.constructor.name === 'RequiredArgsError' && Array.isArray(args)) {
    const names = (args as {name: string}[]).map(({name}) => name.toUpperCase());
    return `Missing argument${names.length === 1 ? '' : 's'}: ${names.join(', ')}.`;
  }
  if (error.constructor.name === 'NonExistentFlagsError' && Array.isArray(flags)) {
    return `Unknown flag${flags.length === 1 ? '' : 's'} '${flags.join("', '")}'.`;
  }
  const line = error.message
    .replace(/\nSee more help with --help/g, '')
    .replace(/^The following errors? occurred:\s*([^\n]*)[^]*/, '$1')
    .replace(/\s*\n\s*/g, ' ')
    // oclif would call a switch that was typed alone --forever=true.
    .replace(/^(--[\w-]+)=.*? (cannot also be provided)/, '$1 $2')
    .trim();
  return /[.!?]$/.test(line) ? line : `${line}.`;
}

/** What unknown flags probably meant: existing ones, or an ID, if no other word can be it. */
function adviseFlags(error: Error): string {
  const {flags, parse} = error as {
    flags?: unknown;
    parse?: {input?: {flags?: Record<string, unknown>; args?: object}; output?: {argv?: readonly unknown[]}};
  };
  if (error.constructor.name !== 'NonExistentFlagsError' || !Array.isArray(flags)) return '';
  const {input: {flags: known = {}, args = {}} = {}, output: {argv = []} = {}} = parse ?? {};
  const names = Object.keys(known).map((name) => `--${name}`);
  const guesses = (flags as string[]).map((flag) => guessNearest(flag.replace(/=.*/s, ''), names)).join('');
  if (guesses !== '') return guesses;
  const words = argv.filter((word) => !flags.includes(word));
  const isIdMissing = 'session_id' in args && words.length < Object.keys(args).length;
  return isIdMissing ? 'An ID that begins with a dash goes after --. ' : '';
}

/** The hint that an ID needs quotes: without them its words are separate arguments. */
function adviseQuotes(error: Error): string {
  const {parse} = error as {parse?: {input?: {args?: object}; output?: {argv?: unknown}}};
  const words = parse?.output?.argv;
  if (error.constructor.name !== 'UnexpectedArgsError' || !Array.isArray(words)) return '';
  return quotingHint(words as string[], Object.keys(parse?.input?.args ?? {})) ?? '';
}

/** The hint, when there are more words than the command takes after a session's ID; otherwise undefined. */
export function quotingHint(words: readonly string[], [first, ...others]: readonly string[]): string | undefined {
  if (first !== 'session_id' || words.length <= 1 + others.length) return undefined;
  return `Quote an ID that has spaces: '${words.slice(0, words.length - others.length).join(' ')}'. `;
}

function showError(message: string): string {
  return showMessage(message, roomOf(process.stderr));
}

function isDebugging(): boolean {
  return ['1', 'true'].includes(process.env['TOKENGATE_DEBUG'] ?? '');
}

function writeError(text: string): void {
  process.stderr.write(redact(text));
}
