import {writeSync} from 'node:fs';

import {findCandidates} from '../../lib/completion/candidates.js';
import {parseRedisUrl, type RedisTarget, withTlsFiles} from '../../lib/redis/url.js';
import {readConnection} from '../connection/connection-flags.js';
import {showText} from '../text/escape.js';
import {readCommandLine, type Word} from './command-line.js';
import {type Candidate, type Candidates, complete, type IdRequest} from './complete.js';
import {quoteForBash, quoteForPowerShell} from './quoting.js';
import type {CommandTable, FlagEntry} from './table.js';

/** Time limit for Redis in milliseconds: people notice anything longer. A variable raises it for slow connections. */
const LIMIT_MS = Number(process.env['TOKENGATE_COMPLETION_MS']) || 300;
const MAX_IDS = 200;

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

function completeWords(table: CommandTable, words: (string | undefined)[], current: string): Promise<Candidates> {
  const ids = async ({kind, prefix, isOffered, globals}: IdRequest): Promise<Candidate[]> => {
    const target = await findTarget(table, globals);
    if (target === undefined) return [];
    const found = await findCandidates(target, {
      kind,
      prefix,
      isOffered: (id) => showText(id) === id && isOffered(id),
      limit: MAX_IDS,
      limitMs: LIMIT_MS,
    });
    return found.map(({id, summary}) => ({value: id, ...(summary === undefined ? {} : {summary: showText(summary)})}));
  };
  return complete(table, {words, current}, {ids, contexts: listContexts});
}

async function listContexts(): Promise<string[]> {
  const {readContextFile} = await import('../connection/context-file.js');
  const {config} = await readContextFile();
  return [...config.contexts.keys()];
}

/** The flags that are typed, with the variables that replace missing ones; undefined when the server is not known. */
async function findTarget(
  {globals: flags}: CommandTable,
  typed: IdRequest['globals'],
): Promise<RedisTarget | undefined> {
  const valueOf = ({name, env}: FlagEntry): string | null | undefined =>
    typed.has(name) ? typed.get(name) : env === undefined ? undefined : process.env[env];
  const values = new Map(flags.filter(({takesValue}) => takesValue).map((flag) => [flag.name, valueOf(flag)]));
  if ([...values.values()].includes(null)) return undefined;
  const {url, tls} = await readConnection(
    Object.fromEntries([...values].filter(([, value]) => value !== undefined)),
    new Set(typed.keys()),
    // A TAB must not run a program that may ask a person.
    {mayRun: false},
  );
  return withTlsFiles(parseRedisUrl(url), tls);
}

/** A shell passes on those of its variables that occur in the line. fish cannot put them into the environment. */
function findVariable(name: string): string | undefined {
  for (const line of (process.env['TOKENGATE_COMPLETE_VARIABLES'] ?? '').split('\n')) {
    if (line.startsWith(`${name}=`)) return line.slice(name.length + 1);
  }
  return process.env[name];
}
