import {setTimeout as sleep} from 'node:timers/promises';

import {TokengateError} from '../values/errors.js';
import {ErrorReply, NoReply} from './contract.js';
import {type NodeOptions, openNode, type RedisNode} from './node.js';
import {addressOf, type Credentials, type Endpoint} from './url.js';

interface Primary {
  sentinels: readonly Endpoint[];
  /** The name that the Sentinels use. */
  name: string;
  sentinelCredentials: Credentials;
  /** Ask again until the time is over: a new primary may be about to be elected. */
  isPatient: boolean;
}

type PrimaryOptions = Omit<NodeOptions, 'kind' | 'endpoint'>;

/** Between two rounds of questions. */
const PAUSE_MS = 100;

/**
 * Connects to the primary that the Sentinels name: asks all of them at once, and takes the first address that really is
 * a primary. A Sentinel that is cut off may name a server that is a replica by now, or gone.
 *
 * @throws TokengateError SENTINEL_UNREACHABLE, UNKNOWN_PRIMARY, or why the primary can't be reached
 */
export async function openPrimary(primary: Primary, options: PrimaryOptions): Promise<RedisNode> {
  const deadline = Math.min(options.deadline ?? Infinity, performance.now() + options.timeoutMs);
  for (;;) {
    try {
      return await askRound(primary, {...options, deadline});
    } catch (error) {
      const isFinal = !primary.isPatient || performance.now() + PAUSE_MS >= deadline;
      if (isFinal || !(error instanceof TokengateError) || error.code === 'INTERRUPTED') throw error;
      await sleep(PAUSE_MS);
    }
  }
}

async function askRound(primary: Primary, options: PrimaryOptions): Promise<RedisNode> {
  const failures: TokengateError[] = [];
  const tried = new Map<string, TokengateError>();
  // Sentinels that have not answered by then are dropped.
  const done = new AbortController();
  const signal = options.signal === undefined ? done.signal : AbortSignal.any([done.signal, options.signal]);
  try {
    const answers = primary.sentinels.map(async (endpoint) => askSentinel(endpoint, primary, {...options, signal}));
    for await (const answer of inOrderOfArrival(answers)) {
      if (answer instanceof TokengateError) {
        failures.push(answer);
        continue;
      }
      const address = addressOf(answer);
      if (tried.has(address)) continue;
      const node = await openAsPrimary(answer, primary.name, options);
      if (!(node instanceof TokengateError)) return node;
      tried.set(address, node);
    }
  } finally {
    done.abort();
  }
  throw explainNone(primary, failures, [...tried.values()]);
}

/** Never rejects: returns the error. */
async function askSentinel(
  endpoint: Endpoint,
  {name, sentinelCredentials}: Primary,
  options: PrimaryOptions,
): Promise<Endpoint | TokengateError> {
  let node: RedisNode | undefined;
  try {
    node = await openNode({
      ...options,
      kind: 'Sentinel',
      endpoint,
      credentials: sentinelCredentials,
      database: 0,
      greeting: undefined,
    });
    const [reply] = await node.fly([['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name]]);
    if (reply instanceof NoReply) return reply.error;
    if (Array.isArray(reply)) return {host: String(reply[0]), port: Number(reply[1])};
    if (reply instanceof ErrorReply && node.facts.mode === 'sentinel') return node.explain(reply);
    if (reply instanceof ErrorReply) {
      return new TokengateError('NOT_A_SENTINEL', `The server at ${node.address} is not a Sentinel.`, {
        hint: 'A redis+sentinel URL names the Sentinels, which mostly listen on port 26379.',
      });
    }
    const names = await listPrimaries(node);
    return new TokengateError('UNKNOWN_PRIMARY', `Sentinel at ${node.address} knows no primary '${name}'.`, {
      hint: names.length === 0 ? 'It watches none.' : `It watches: ${names.join(', ')}.`,
    });
  } catch (error) {
    if (error instanceof TokengateError) return error;
    throw error;
  } finally {
    node?.close();
  }
}

/** The names of the primaries that a Sentinel watches; empty when it does not say. */
export async function listPrimaries(sentinel: RedisNode): Promise<string[]> {
  const [list] = await sentinel.fly([['SENTINEL', 'MASTERS']]);
  if (!Array.isArray(list)) return [];
  return list.map((fields) => {
    const words = (fields as unknown[]).map(String);
    return words[words.indexOf('name') + 1] ?? '';
  });
}

async function openAsPrimary(
  endpoint: Endpoint,
  name: string,
  options: PrimaryOptions,
): Promise<RedisNode | TokengateError> {
  try {
    const node = await openNode({...options, kind: 'Redis', endpoint});
    if (node.facts.role !== 'replica') return node;
    node.close();
    return new TokengateError(
      'REDIS_READONLY',
      `Redis at ${node.address} is a replica, but the primary was expected.`,
      {
        hint: failoverHint(name),
      },
    );
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    const isGone = ['REDIS_UNREACHABLE', 'REDIS_TIMEOUT', 'REDIS_CONNECTION_LOST'].includes(error.code);
    if (!isGone) return error;
    return new TokengateError(error.code, error.message, {hint: failoverHint(name), cause: error});
  }
}

function failoverHint(name: string): string {
  return `The Sentinels name it as the primary '${name}'. In a failover, try again shortly.`;
}

/** An unusable primary explains more than a silent Sentinel. */
function explainNone(
  {sentinels}: Primary,
  failures: readonly TokengateError[],
  unusable: readonly TokengateError[],
): TokengateError {
  const interrupted = [...unusable, ...failures].find(({code}) => code === 'INTERRUPTED');
  if (interrupted !== undefined) return interrupted;
  const [first] = [...unusable, ...failures.filter(({code}) => code === 'UNKNOWN_PRIMARY'), ...failures];
  if (first === undefined) return new TokengateError('SENTINEL_UNREACHABLE', 'No Sentinel answered.');
  if (unusable.length > 0 || first.code === 'UNKNOWN_PRIMARY' || sentinels.length === 1) return first;
  return new TokengateError(
    first.code,
    `None of the ${sentinels.length} Sentinels can be used. The first to fail: ${first.message}`,
    {hint: first.hint, cause: first},
  );
}

async function* inOrderOfArrival<T>(promises: readonly Promise<T>[]): AsyncGenerator<T> {
  const left = new Map(promises.map((promise, index) => [index, promise.then((value) => ({index, value}))]));
  while (left.size > 0) {
    const {index, value} = await Promise.race(left.values());
    left.delete(index);
    yield value;
  }
}
