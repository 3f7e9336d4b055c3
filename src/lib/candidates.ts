import {escapeGlob} from './glob.js';
import {isText, nameOf, rawId, type RawId} from './ids.js';
import {BUDGET_KEYS, FROZEN_UNTIL_KEYS, type KeyShape} from './keys.js';
import type {RedisTarget} from './redis-url.js';
import {openResp, type Reply, ReplyError, type RespConnection} from './resp.js';
import {parseGatewayTime} from './time.js';

/** What can stand in place of an argument: a session that has a budget, or one that is frozen. */
export type CandidateKind = 'sessions' | 'frozen';

export interface CandidateOptions {
  kind: CandidateKind;
  /** What is typed of it already. */
  prefix: string;
  /** Which of them may be offered at all. */
  isOffered: (id: string) => boolean;
  /** At most so many. */
  limit: number;
  /** Milliseconds for all of it. */
  limitMs: number;
}

/** More than for a list, since there are few round trips in the time; it holds the server up for three milliseconds. */
const SCAN_COUNT = 4000;
/** Milliseconds of scanning after which its pace tells how long all of it takes. */
const PROBE_MS = 50;

/**
 * The IDs that begin with a prefix, sorted, read in a time limit; never throws. All of them or none: what begins the
 * same way in a part of them need not in all, and a shell would complete it. Of more than `limit` the first are given,
 * and the last, so that what they have in common is what all have in common. An ID that is typed in full is found in a
 * keyspace too large to scan, too.
 */
export async function findCandidates(target: RedisTarget, options: CandidateOptions): Promise<string[]> {
  const {prefix, limitMs} = options;
  const end = performance.now() + limitMs;
  let connection: RespConnection | undefined;
  let exact: string[] = [];
  const search = async (): Promise<string[]> => {
    connection = await openResp(target);
    const server = await ask(connection, target, options);
    if (server.isTypedInFull) exact = [prefix];
    return (await scan(connection, server, options, end)) ?? exact;
  };
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<string[]>((resolve) => {
    timer = setTimeout(() => {
      resolve(exact);
    }, limitMs);
  });
  try {
    return await Promise.race([search(), timeout]);
  } catch {
    return exact;
  } finally {
    clearTimeout(timer);
    connection?.close();
  }
}

interface FirstAnswers {
  isTypedInFull: boolean;
  /** Unknown when the user may not ask. */
  keys: number | undefined;
  now: Date;
  page: Reply;
}

/** All that is known at the beginning goes in one flight. */
async function ask(
  connection: RespConnection,
  {username, password, database}: RedisTarget,
  options: CandidateOptions,
): Promise<FirstAnswers> {
  const {prefix, suffix} = shapeOf(options.kind);
  const login = password === undefined ? [] : [['AUTH', ...[username ?? [], password].flat().map(toBytes)]];
  const select = database === 0 ? [] : [['SELECT', String(database)]];
  const replies = await connection.send([
    ...login,
    ...select,
    ['DBSIZE'],
    ['TIME'],
    ['EXISTS', `${prefix}${toBytes(options.prefix)}${suffix}`],
    scanCommand('0', options),
  ]);
  const [page = null, exists, time, keys] = [...replies].reverse();
  // Another database's sessions would be wrong, not only missing.
  for (const reply of replies.slice(0, login.length + select.length))
    if (reply instanceof ReplyError) throw new Error(reply.message);
  const [seconds] = Array.isArray(time) ? time : [];
  return {
    isTypedInFull: exists === 1 && options.prefix !== '' && options.isOffered(options.prefix),
    keys: typeof keys === 'number' ? keys : undefined,
    now: seconds === undefined ? new Date() : new Date(Number(seconds) * 1000),
    page,
  };
}

/** Undefined when it would take longer than there is time. */
async function scan(
  connection: RespConnection,
  {page: first, keys, now}: FirstAnswers,
  options: CandidateOptions,
  end: number,
): Promise<string[] | undefined> {
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
  const sorted = [...ids].sort();
  const last = sorted.at(-1);
  const chosen =
    sorted.length > options.limit && last !== undefined ? [...sorted.slice(0, options.limit - 1), last] : sorted;
  const wanted = options.kind === 'frozen' ? await chooseFrozen(connection, chosen, now) : chosen;
  return wanted.map(nameOf);
}

/** The gateway removes a freeze that is over only at the session's next request. One it cannot read it does not lift. */
async function chooseFrozen(connection: RespConnection, ids: readonly RawId[], now: Date): Promise<RawId[]> {
  if (ids.length === 0) return [];
  const {prefix, suffix} = FROZEN_UNTIL_KEYS;
  const [ends] = await connection.send([['MGET', ...ids.map((id) => `${prefix}${id}${suffix}`)]]);
  if (!Array.isArray(ends)) return [];
  return ids.filter((_, index) => {
    const text = ends[index];
    if (typeof text !== 'string') return false;
    const time = parseGatewayTime(text);
    return time.kind !== 'time' || time.at > now;
  });
}

function scanCommand(cursor: string, {kind, prefix: typed}: CandidateOptions): string[] {
  const {prefix, suffix} = shapeOf(kind);
  const pattern = `${prefix}${escapeGlob(toBytes(typed))}*${suffix}`;
  return ['SCAN', cursor, 'MATCH', pattern, 'COUNT', String(SCAN_COUNT)];
}

function shapeOf(kind: CandidateKind): KeyShape {
  return kind === 'frozen' ? FROZEN_UNTIL_KEYS : BUDGET_KEYS;
}

/** One character a byte. */
function toBytes(text: string): string {
  return Buffer.from(text).toString('latin1');
}
