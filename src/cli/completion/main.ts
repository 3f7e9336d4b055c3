import {writeSync} from 'node:fs';

import {readCommandLine, type Word} from './command-line.js';
import {type Candidate, type Candidates, complete} from './complete.js';
import {quoteForBash, quoteForPowerShell} from './quoting.js';
import type {CommandTable} from './table.js';

/**
 * Answers one TAB for the scripts in `scripts.ts`, in a process of its own that loads nothing else of the CLI. The
 * typed line arrives in the environment: it may hold a password, and other users can read arguments.
 *
 * Whatever goes wrong, it prints nothing and succeeds. The first line is `values` or `files`.
 */
export function main(table: CommandTable): void {
  process.on('uncaughtException', end);
  answer(table, process.argv[3] ?? '').then(
    (text) => {
      if (text !== '') writeSync(1, text);
      // Until then, a connection that has just failed still counts as active.
      setImmediate(end);
    },
    () => setImmediate(end),
  );
}

function end(): never {
  // A silent name server would hold up exit() as well.
  if (process.getActiveResourcesInfo().includes('GetAddrInfoReqWrap')) process.kill(process.pid, 'SIGKILL');
  process.exit(0);
}

async function answer(table: CommandTable, shell: string): Promise<string> {
  const line = process.env['TOKENGATE_COMPLETE_LINE'] ?? '';
  if (shell === 'powershell') return answerPowerShell(table, line);
  const typed = readCommandLine(line, shell === 'fish' ? 'fish' : 'posix', findVariable);
  if (typed?.current.value === undefined) return '';
  const {words, current, variables} = typed;
  const value = current.value ?? '';
  for (const [name, set] of variables) {
    // The line may name the server.
    if (set === undefined) return '';
    process.env[name] = set;
  }
  const candidates = await completeWords(
    table,
    words.map((word) => word.value),
    value,
  );
  if (candidates === 'files') return 'files\n';
  if (candidates.length === 0) return '';
  const rows =
    shell === 'bash'
      ? rowsForBash(candidates, line, current)
      : candidates.map((candidate) => `${candidate.value}\t${candidate.summary ?? ''}`);
  return ['values', ...rows, ''].join('\n');
}

/**
 * bash replaces only the text after the last word break, such as a colon, or after the open quote. It has no
 * descriptions, but they fit beside candidates that it only lists.
 */
function rowsForBash(candidates: readonly Candidate[], line: string, {start, quote}: Word): string[] {
  const columns = Number(process.env['TOKENGATE_COMPLETE_COLUMNS']);
  if (columns > 0 && candidates.length > 1 && candidates.some(({summary}) => summary !== undefined)) {
    const width = Math.max(...candidates.map(({value}) => value.length));
    return candidates.map(({value, summary = ''}) => `${value.padEnd(width)}  ${summary}`.slice(0, columns - 1));
  }
  const values = candidates.map(({value}) => value);
  const replaced = line.length - (process.env['TOKENGATE_COMPLETE_WORD'] ?? '').length;
  const before = line.slice(start, Math.max(start, replaced));
  const kept = readCommandLine(`tokengate ${before}`, 'posix', findVariable)?.current.value ?? '';
  return quoteForBash(
    values.map((value) => value.slice(kept.length)),
    quote,
    before,
  );
}

async function answerPowerShell(table: CommandTable, json: string): Promise<string> {
  const {words, current} = JSON.parse(json) as {words: (string | null)[]; current: string};
  const candidates = await completeWords(
    table,
    words.map((word) => word ?? undefined),
    current,
  );
  if (candidates === 'files') return '';
  const rows = candidates.map(({value, summary}) => ({
    text: quoteForPowerShell(value),
    shown: value,
    tip: summary ?? value,
  }));
  // PowerShell reads ASCII correctly whatever its encoding is.
  return JSON.stringify(rows).replace(
    /[^\0-\x7f]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** What Redis or a file has to answer is loaded only then: most TABs complete a command or a flag. */
function completeWords(table: CommandTable, words: (string | undefined)[], current: string): Promise<Candidates> {
  return complete(
    table,
    {words, current},
    {
      ids: async (request) => (await import('./finders.js')).findIds(table, request),
      contexts: async () => (await import('./finders.js')).listContexts(),
    },
  );
}

/** A shell passes on those of its variables that occur in the line. fish cannot put them into the environment. */
function findVariable(name: string): string | undefined {
  for (const line of (process.env['TOKENGATE_COMPLETE_VARIABLES'] ?? '').split('\n')) {
    if (line.startsWith(`${name}=`)) return line.slice(name.length + 1);
  }
  return process.env[name];
}
