import {BUDGET_KEYS, FROZEN_UNTIL_KEYS, GRANTS_KEYS, JOURNAL_KEY, type KeyShape} from '../gateway/keys.js';
import {parseRedirection, parseSlots} from '../redis/cluster/slots.js';
import type {RedisTarget} from '../redis/url.js';
import {escapeGlob} from '../values/glob.js';
import {isText, nameOf, rawId, type RawId} from '../values/session-id.js';
import {formatUtc, parseGatewayTime} from '../values/time.js';
import {authCommands, openResp, type Reply, ReplyError, type RespConnection, toBytes} from './tiny-client.js';

/**
 * What can complete an argument: a session with a budget, a frozen session, a session with grants, a change, or a
 * person who made one.
 */
export type CandidateKind = 'sessions' | 'frozen' | 'granted' | 'changes' | 'actors';

export interface CandidateOptions {
  kind: CandidateKind;
  /** The part that is typed already. */
  prefix: string;
  /** Whether a candidate may be offered at all. */
  isOffered: (id: string) => boolean;
  /** Maximum number of candidates. */
  limit: number;
  /** Milliseconds for the whole search. */
  limitMs: number;
}

export interface FoundId {
  id: string;
  /** A description; untrusted text. */
  summary?: string;
}

/** Larger than for a list, since there is time for few round trips. Each holds the server up for three milliseconds. */
const SCAN_COUNT = 4000;
/** Milliseconds of scanning after which its pace tells how long the rest takes. */
const PROBE_MS = 50;
/** How many journal entries to read in one step, and in all. */
const ENTRIES = {step: 100, most: 1000};

/**
 * The IDs that begin with a prefix, within a time limit. Never throws.
 *
 * Sessions are all found or none is offered, sorted: a part of them may share a longer prefix than all do, and a shell
 * would complete it. If there are more than `limit`, it returns the first ones and the last one, which have the same
 * common prefix as all. An ID that is typed in full is found even in a keyspace too large to scan. Changes come newest
 * first, and only the newest.
 */
export async function findCandidates(target: RedisTarget, options: CandidateOptions): Promise<FoundId[]> {
  const {limitMs} = options;
  const end = performance.now() + limitMs;
  let connection: RespConnection | undefined;
  const known: FoundId[] = [];
  const search = async (): Promise<FoundId[]> => {
    connection = await openResp(target);
    return options.kind === 'changes' || options.kind === 'actors'
      ? readChanges(connection, target, {...options, kind: options.kind}, known)
      : findSessions(connection, target, {...options, kind: options.kind}, {end, known});
  };
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<FoundId[]>((resolve) => {
    timer = setTimeout(() => {
      resolve(known);
    }, limitMs);
  });
  try {
    return await Promise.race([search(), timeout]);
  } catch {
    return known;
  } finally {
    clearTimeout(timer);
    connection?.close();
  }
}

type SessionOptions = CandidateOptions & {kind: 'sessions' | 'frozen' | 'granted'};

/** @param known receives what may be offered if the time ends here */
async function findSessions(
  connection: RespConnection,
  target: RedisTarget,
  options: SessionOptions,
  {end, known}: {end: number; known: FoundId[]},
): Promise<FoundId[]> {
  const server = await ask(connection, target, options);
  const others = server.isOfCluster ? await openPrimaries(connection, target) : [];
  try {
    const parts = server.isOfCluster
      ? await Promise.all(others.map(async (node) => ({node, answers: await ask(node, target, options)})))
      : [{node: connection, answers: server}];
    if (parts.some(({answers}) => answers.isTypedInFull)) known.push({id: options.prefix});
    const lists = await Promise.all(parts.map(({node, answers}) => scan(node, answers, options, end)));
    if (lists.includes(undefined)) return known;
    return choose(
      lists.flatMap((ids) => ids ?? []),
      options,
    ).map((id) => ({id: nameOf(id)}));
  } finally {
    for (const other of others) other.close();
  }
}

/** SCAN on a cluster's node shows only its own sessions: all primaries have to be asked. */
async function openPrimaries(connection: RespConnection, target: RedisTarget): Promise<RespConnection[]> {
  const [reply] = await connection.send([['CLUSTER', 'SLOTS']]);
  if (reply instanceof ReplyError) throw new Error(reply.message);
  const {primaries} = parseSlots(reply, target.endpoints[0]);
  return Promise.all([...primaries.values()].map(({endpoint}) => openResp({...target, endpoints: [endpoint]})));
}

/** @param known receives what may be offered if the time ends here */
async function readChanges(
  connection: RespConnection,
  target: RedisTarget,
  options: Pick<CandidateOptions, 'prefix' | 'isOffered' | 'limit'> & {kind: 'changes' | 'actors'},
  known: FoundId[],
): Promise<FoundId[]> {
  const {kind, prefix, isOffered, limit} = options;
  const login = loginTo(target);
  const seen = new Set<string>();
  let newest = '+';
  for (let count = 0; count < ENTRIES.most; count += ENTRIES.step) {
    const read = ['XREVRANGE', JOURNAL_KEY, newest, '-', 'COUNT', String(ENTRIES.step)];
    const replies = await connection.send([...(count === 0 ? login : []), read]);
    const page = replies.pop();
    refuseErrors(replies);
    const moved = page instanceof ReplyError ? parseRedirection(page.message, target.endpoints[0]) : undefined;
    if (moved !== undefined) {
      const there: RedisTarget = {...target, endpoints: [moved.endpoint]};
      const other = await openResp(there);
      try {
        return await readChanges(other, there, options, known);
      } finally {
        other.close();
      }
    }
    if (!Array.isArray(page)) break;
    for (const entry of page as [string, string[]][]) {
      const {id: change, actor, summary, isChange} = describeEntry(entry);
      const id = kind === 'changes' ? change : actor;
      if (!isChange || id === '' || seen.has(id)) continue;
      seen.add(id);
      if (id.startsWith(prefix) && isOffered(id)) known.push(kind === 'changes' ? {id, summary} : {id});
      if (known.length >= limit) return known;
    }
    const [last] = (page.at(-1) ?? []) as string[];
    if (last === undefined || page.length < ENTRIES.step) break;
    newest = `(${last}`;
  }
  return known;
}

function describeEntry([entry, fields]: [string, string[]]): {
  id: string;
  actor: string;
  summary: string;
  isChange: boolean;
} {
  const field = (name: string): string => {
    const index = fields.findIndex((word, position) => position % 2 === 0 && word === name);
    return index === -1 ? '' : Buffer.from(fields[index + 1] ?? '', 'latin1').toString();
  };
  const time = formatUtc(new Date(Number(entry.split('-')[0])));
  return {
    id: field('change'),
    actor: field('actor'),
    summary: `${time} ${field('command')} by ${field('actor')}`,
    isChange: field('completes') === '',
  };
}

interface FirstAnswers {
  isOfCluster: boolean;
  isTypedInFull: boolean;
  /** Unknown when the user may not ask. */
  keys: number | undefined;
  now: Date;
  page: Reply;
}

/** Everything known at the start is asked in one flight. */
async function ask(connection: RespConnection, target: RedisTarget, options: SessionOptions): Promise<FirstAnswers> {
  const {prefix, suffix} = shapeOf(options.kind);
  const login = loginTo(target);
  const replies = await connection.send([
    ...login,
    ['HELLO', '2'],
    ['DBSIZE'],
    ['TIME'],
    ['EXISTS', `${prefix}${toBytes(options.prefix)}${suffix}`],
    scanCommand('0', options),
  ]);
  const [page = null, exists, time, keys, hello] = [...replies].reverse();
  refuseErrors(replies.slice(0, login.length));
  const [seconds] = Array.isArray(time) ? time : [];
  return {
    isOfCluster: Array.isArray(hello) && hello[hello.indexOf('mode') + 1] === 'cluster',
    isTypedInFull: exists === 1 && options.prefix !== '' && options.isOffered(options.prefix),
    keys: typeof keys === 'number' ? keys : undefined,
    now: seconds === undefined ? new Date() : new Date(Number(seconds) * 1000),
    page,
  };
}

function loginTo({credentials, database}: RedisTarget): string[][] {
  return [...authCommands(credentials), ...(database === 0 ? [] : [['SELECT', String(database)]])];
}

/** Without its login or its database, a connection would give wrong answers rather than none. */
function refuseErrors(replies: readonly Reply[]): void {
  for (const reply of replies) if (reply instanceof ReplyError) throw new Error(reply.message);
}

/** Undefined when there is not enough time. */
async function scan(
  connection: RespConnection,
  {page: first, keys, now}: FirstAnswers,
  options: SessionOptions,
  end: number,
): Promise<RawId[] | undefined> {
  const {prefix, suffix} = shapeOf(options.kind);
  const start = performance.now();
  const ids = new Set<RawId>();
  let page = first;
  for (let pages = 1; ; pages++) {
    if (!Array.isArray(page)) return undefined;
    const [cursor, found] = page as [string, string[]];
    for (const key of found) {
      const id = rawId(key.slice(prefix.length, key.length - suffix.length));
      if (id !== '' && isText(id) && options.isOffered(nameOf(id))) ids.add(id);
    }
    if (cursor === '0') break;
    const taken = performance.now() - start;
    const share = keys === undefined ? 1 : (pages * SCAN_COUNT) / keys;
    if (taken > PROBE_MS && start + taken / share > end) return undefined;
    [page = null] = await connection.send([scanCommand(cursor, options)]);
  }
  const chosen = choose([...ids], options);
  return options.kind === 'frozen' ? chooseFrozen(connection, chosen, now) : chosen;
}

/** The first ones and the last one. */
function choose(ids: RawId[], {limit}: CandidateOptions): RawId[] {
  const sorted = ids.sort();
  const last = sorted.at(-1);
  return sorted.length > limit && last !== undefined ? [...sorted.slice(0, limit - 1), last] : sorted;
}

/** The gateway removes a freeze that is over only at the session's next request. A freeze that it cannot read stays. */
async function chooseFrozen(connection: RespConnection, ids: readonly RawId[], now: Date): Promise<RawId[]> {
  if (ids.length === 0) return [];
  const {prefix, suffix} = FROZEN_UNTIL_KEYS;
  const ends = await connection.send(ids.map((id) => ['GET', `${prefix}${id}${suffix}`]));
  return ids.filter((_, index) => {
    const text = ends[index];
    if (typeof text !== 'string') return false;
    const time = parseGatewayTime(text);
    return time.kind !== 'time' || time.at > now;
  });
}

function scanCommand(cursor: string, {kind, prefix: typed}: SessionOptions): string[] {
  const {prefix, suffix} = shapeOf(kind);
  const pattern = `${prefix}${escapeGlob(toBytes(typed))}*${suffix}`;
  return ['SCAN', cursor, 'MATCH', pattern, 'COUNT', String(SCAN_COUNT)];
}

function shapeOf(kind: SessionOptions['kind']): KeyShape {
  return {sessions: BUDGET_KEYS, frozen: FROZEN_UNTIL_KEYS, granted: GRANTS_KEYS}[kind];
}
