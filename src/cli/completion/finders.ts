import {findCandidates} from '../../lib/completion/candidates.js';
import {parseRedisUrl, type RedisTarget, withTlsFiles} from '../../lib/redis/url.js';
import {readConnection} from '../connection/connection-flags.js';
import {showText} from '../text/escape.js';
import type {Candidate, IdRequest} from './complete.js';
import {type CommandTable, type FlagEntry, parse} from './table.js';

/** Time limit for Redis in milliseconds: people notice anything longer. A variable raises it for slow connections. */
const LIMIT_MS = Number(process.env['TOKENGATE_COMPLETION_MS']) || 300;
const MAX_IDS = 200;

/** IDs in the Redis that the typed line names. */
export async function findIds(
  table: CommandTable,
  {kind, prefix, isOffered, globals}: IdRequest,
): Promise<Candidate[]> {
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
}

/** The names in the context file. */
export async function listContexts(): Promise<string[]> {
  const {readContextFile} = await import('../connection/context-file.js');
  const {config} = await readContextFile();
  return [...config.contexts.keys()];
}

/** The flags that are typed, with the variables that replace missing ones; undefined when the server is not known. */
async function findTarget({globals}: CommandTable, typed: IdRequest['globals']): Promise<RedisTarget | undefined> {
  const valueOf = ({name, env}: FlagEntry): string | null | undefined =>
    typed.has(name) ? typed.get(name) : env === undefined ? undefined : process.env[env];
  const values = new Map(
    parse(globals)
      .filter(({takesValue}) => takesValue)
      .map((flag) => [flag.name, valueOf(flag)]),
  );
  if ([...values.values()].includes(null)) return undefined;
  const {url, tls} = await readConnection(
    Object.fromEntries([...values].filter(([, value]) => value !== undefined)),
    new Set(typed.keys()),
    // A TAB must not run a program that may ask a person.
    {mayRun: false},
  );
  return withTlsFiles(parseRedisUrl(url), tls);
}
