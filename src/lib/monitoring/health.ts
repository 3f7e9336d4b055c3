import {hrtime} from 'node:process';

import {BUDGET_KEYS, FROZEN_UNTIL_KEYS, JOURNAL_KEY, keyOf, STORE_KEY} from '../gateway/keys.js';
import {PROBE} from '../lua/scripts.js';
import {refuseReplica} from '../redis/connect.js';
import {type Cluster, type Command, ErrorReply, type Redis, type ServerInfo} from '../redis/contract.js';
import {isScriptRefusal} from '../redis/failures.js';
import {rawId, type RawId} from '../values/session-id.js';

export interface Health extends ServerInfo {
  /** Milliseconds of one round trip that reads and writes. */
  latency: number;
  cluster: Pick<Cluster, 'primaries' | 'replicas'> | undefined;
  /** Why this CLI's changes fail although the gateway's keys can be written, in sentences; undefined if they don't. */
  changeProblem: string | undefined;
}

/**
 * Proves that the gateway's keys can be read and written. `SET … XX` on a session that doesn't exist writes nothing,
 * yet passes every check of a write: permissions on command and key, memory, disk, replicas, role.
 *
 * @param options.changes also tries in the same flight what the CLI's changes need, without writing: the store's name, a
 *   script and, if changes are recorded, the commands of the journal
 * @throws TokengateError saying why not
 */
export async function checkHealth(
  redis: Redis,
  {changes}: {changes?: 'recorded' | 'unrecorded'} = {},
): Promise<Health> {
  refuseReplica(redis);
  const nobodies = chooseNobodies(redis.cluster);
  // Connections to the other nodes of a cluster are opened on first use.
  if (redis.cluster !== undefined) await redis.pipeline(nobodies.map((nobody) => ['GET', keyOf(BUDGET_KEYS, nobody)]));
  const start = hrtime.bigint();
  const ofGateway = nobodies.flatMap((nobody): Command[] => [
    ['GET', keyOf(BUDGET_KEYS, nobody)],
    ['SET', keyOf(BUDGET_KEYS, nobody), '0', 'XX'],
    ['SET', keyOf(FROZEN_UNTIL_KEYS, nobody), '0', 'XX'],
  ]);
  const ofScripts = nobodies.map((nobody): Command => ['EVAL', PROBE, '1', keyOf(BUDGET_KEYS, nobody)]);
  const ofChanges = changes === undefined ? [] : [['GET', STORE_KEY], ...ofScripts];
  const ofJournal = changes === 'recorded' ? tryJournal(nobodies[0]) : [];
  const replies = await redis.pipeline([...ofGateway, ...ofChanges, ...ofJournal]);
  const latency = Number(hrtime.bigint() - start) / 1e6;
  const refusals = replies.map((reply) => (reply instanceof ErrorReply ? reply : undefined));
  const refusal = refusals.slice(0, ofGateway.length).find((reply) => reply !== undefined);
  if (refusal !== undefined) throw redis.explain(refusal);
  const changeProblem = explainChanges(redis, refusals.slice(ofGateway.length), changes === 'recorded');
  return {...redis.server, latency, cluster: redis.cluster, changeProblem};
}

/** Longer than any journal, so that no entry is dropped. */
const NO_LIMIT = '1000000000000';

/** XADD always adds, so it is tried on a key of its own that does not exist, and that a user may have no right to. */
function tryJournal(nobody = ''): Command[] {
  return [
    ['XTRIM', JOURNAL_KEY, 'MAXLEN', '~', NO_LIMIT],
    ['XADD', `${JOURNAL_KEY}:${nobody}`, 'NOMKSTREAM', '*', 'a', 'b'],
  ];
}

/**
 * Why every change would be refused although the server can be written, or undefined: a health check must not call such
 * a server fine.
 */
function explainChanges(
  redis: Redis,
  refusals: readonly (ErrorReply | undefined)[],
  isJournaled: boolean,
): string | undefined {
  if (refusals[0]?.message.startsWith('WRONGTYPE')) {
    return `Every change fails, since the key ${STORE_KEY} is of a wrong Redis type. Remove it with redis-cli.`;
  }
  const ofScripts = refusals.find((reply) => reply !== undefined && isScriptRefusal(reply));
  if (ofScripts !== undefined) {
    const {message} = redis.explain(ofScripts);
    if (redis.cluster !== undefined) return `Every change fails, since it needs scripts (EVAL): ${message}`;
    const less = 'you can only set budgets and reset sessions';
    return isJournaled
      ? `Every change fails, since the journal needs scripts (EVAL): ${message} With --no-journal ${less}.`
      : `Without scripts (EVAL) ${less}: ${message}`;
  }
  const [ofTrim, ofAdd] = isJournaled ? refusals.slice(-2) : [];
  const ofJournal = ofTrim ?? (/^NOPERM.*'xadd/i.test(ofAdd?.message ?? '') ? ofAdd : undefined);
  if (ofJournal === undefined) return undefined;
  return (
    `Every change fails, since the journal cannot be written: ${redis.explain(ofJournal).message} ` +
    'To change sessions without a record, use --no-journal or TOKENGATE_JOURNAL=off.'
  );
}

/** Maximum number of IDs to try in the search for one on each primary; a primary with few slots may be missed. */
const MAX_TRIES = 10_000;

/** IDs of no session: on a cluster one for each primary, and one for each unserved slot that turns up. */
function chooseNobodies(cluster: Cluster | undefined): RawId[] {
  const choose = (): RawId => rawId(`tokengate-health-${Math.random().toString(36).slice(2)}`);
  const chosen = new Map<string | undefined, RawId>();
  for (let tries = 0; tries < (cluster === undefined ? 1 : MAX_TRIES); tries++) {
    const nobody = choose();
    const primary = cluster?.primaryOf(keyOf(BUDGET_KEYS, nobody));
    if (!chosen.has(primary)) chosen.set(primary, nobody);
  }
  return [...chosen.values()];
}
