import {createHash, randomUUID} from 'node:crypto';

import {alertsKey, BUDGET_KEYS, FROZEN_UNTIL_KEYS, keyOf} from '../gateway/keys.js';
import {CLAIM_CROSSINGS, SETTLE_CROSSINGS} from '../lua/scripts.js';
import {type RedisText, type Command, ErrorReply, type Redis} from '../redis/contract.js';
import {inGroups} from '../values/chunks.js';
import {TokengateError} from '../values/errors.js';
import {parseStoredMoney, toPlainDigits} from '../values/money.js';
import {rawId, type RawId} from '../values/session-id.js';
import {type Check, type LimitFinding, holds, type LimitRule, type RuleKind, type Subject} from './limits.js';

/** A crossing that some host has reported or is reporting. */
interface Claim {
  /** As bytes, one character a byte: `used:80:dev-team`, or `used@1764547200000:80:dev-team` in a period. */
  field: string;
  /** The state of the crossing and its cause: `reported:2026-11-22T16:33:12.324Z spent:9.5`. */
  value: string;
  id: RawId;
  kind: RuleKind;
  /** The period, named by the time of its renewal in milliseconds; empty without one. */
  period: string;
  threshold: LimitRule['threshold'];
}

export interface ReportOnceOptions<T> {
  /** Checks with the same name share their reported crossings. */
  name: string | undefined;
  now: Date;
  /**
   * Longer than `report` can take. A claim that is older belongs to a process that is gone, and others report in its
   * place.
   */
  leaseMs: number;
  /** Runs the check, and passes every session that it reads to `onSubject`. */
  check: (onSubject: (subject: Subject) => void) => Promise<Check>;
  /** Reports new crossings; `failed` are those that could not be reported. If it throws, none was. */
  report: (check: Check, fresh: readonly LimitFinding[]) => Promise<T>;
}

/**
 * Reads the name of a state that an operator typed.
 *
 * @throws TokengateError INVALID_USAGE
 */
export function parseStateName(typed: string): string {
  if (/^[\w.-]{1,64}$/.test(typed)) return typed;
  throw new TokengateError('INVALID_USAGE', `Invalid --state '${typed}'.`, {
    hint: 'Write letters, digits, _, . and -, at most 64.',
  });
}

/** Fields in one run of a script, or in one flight. */
const CHUNK = 500;
const TTL_SECONDS = String(90 * 86_400);

/**
 * Reports each crossing once, however many hosts check the same Redis. A crossing is claimed in one atomic step before
 * it is reported. The claim stays until the session has fallen back or is gone, or until the crossing has a new cause:
 * a freeze with another end or reason, or spending that fell and has risen again before this check. If reporting fails,
 * the claim is given up, so that the next check reports the crossing.
 *
 * Claims are read before the sessions, and are given up only if they have not changed since: a slow check cannot undo
 * what another one has claimed.
 *
 * @throws TokengateError REDIS_NO_PERMISSION, WRONG_TYPE
 */
export async function reportOnce<T extends {failed: ReadonlySet<LimitFinding>}>(
  redis: Redis,
  options: ReportOnceOptions<T>,
): Promise<T> {
  const {name, now, leaseMs} = options;
  const key = alertsKey(name);
  const start = Date.now();
  const claims = await readClaims(redis, key);
  const {onSubject, over, unseen, dated} = comparing(claims);
  const check = await options.check(onSubject);
  const gone = await findGone(redis, unseen);
  const settle = (on: Redis, entries: readonly Settlement[]): Promise<unknown> =>
    runScript(on, key, SETTLE_CROSSINGS, [TTL_SECONDS], entries);
  await settle(redis, [...[...over, ...gone].map(({field, value}): Settlement => [field, value, '']), ...dated]);

  const time = now.getTime() + Date.now() - start;
  const pending = `pending:${time + leaseMs}:${randomUUID()}`;
  const reported = `reported:${new Date(time).toISOString()}`;
  const originsOf = ({subject, rules}: LimitFinding): [field: string, origin: string][] =>
    rules.map((rule) => [fieldOf(subject, rule), originOf(subject, rule.kind)]);
  const origins = check.findings.map(originsOf);
  const claimed = await runScript(
    redis,
    key,
    CLAIM_CROSSINGS,
    [TTL_SECONDS, String(time)],
    // The rules of one finding are claimed in one step, so that no other host gets a part of them.
    origins.map((some) => some.flatMap(([field, origin]) => [field, withOrigin(pending, origin)])),
  );
  const mine = new Map(origins.flat().filter((_, index) => claimed[index] === 1));
  const fresh = check.findings.filter(({subject, rule}) => mine.has(fieldOf(subject, rule)));

  let failed: ReadonlySet<LimitFinding> = new Set(fresh);
  try {
    const told = await options.report(check, fresh);
    ({failed} = told);
    return told;
  } finally {
    const lost = new Set([...failed].flatMap(originsOf).map(([field]) => field));
    const settlements = [...mine].map(([field, origin]): Settlement => {
      const next = lost.has(field) ? '' : withOrigin(reported, origin);
      return [field, withOrigin(pending, origin), next];
    });
    // Reporting may take minutes, in which a server closes an idle connection.
    redis.close();
    if (mine.size > 0) await onFreshConnection(redis, (again) => settle(again, settlements));
  }
}

/** A claim, the value that it must still have, and its new value; empty to remove it. */
type Settlement = [field: string, value: string, next: string];

async function onFreshConnection(redis: Redis, run: (again: Redis) => Promise<unknown>): Promise<void> {
  let again: Redis | undefined;
  try {
    again = await redis.reopen();
    await run(again);
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    const message = `${error.message} What was reported could not be recorded, so it is reported again in a few minutes.`;
    throw new TokengateError(error.code, message, {hint: error.hint, cause: error});
  } finally {
    again?.close();
  }
}

async function readClaims(redis: Redis, key: string): Promise<Claim[]> {
  const claims: Claim[] = [];
  let cursor = '0';
  do {
    const [reply] = await redis.pipelineBytes([['HSCAN', key, cursor, 'COUNT', '1000']]);
    if (reply instanceof ErrorReply) throw explain(redis, key, reply);
    const [next, entries] = reply as [Buffer, Buffer[]];
    cursor = String(next);
    for (const pair of inGroups(entries, 2)) {
      const [field = '', value = ''] = pair.map((text) => text.toString('latin1'));
      const [, kind, period = '', threshold = '', id = ''] = /^([a-z_]+)(?:@(\d+))?:([\d.]*):(.*)$/s.exec(field) ?? [];
      if (kind === undefined) continue;
      claims.push({
        field,
        value,
        id: rawId(id),
        kind: kind as RuleKind,
        period,
        threshold: parseStoredMoney(threshold) ?? null,
      });
    }
  } while (cursor !== '0');
  return claims;
}

function fieldOf(subject: Subject, {kind, threshold}: LimitRule): string {
  const period = periodOf(subject, kind);
  return `${kind}${period === '' ? '' : `@${period}`}:${threshold?.toString() ?? ''}:${subject.key}`;
}

/** A renewed budget may be used up again before any check has seen it below the limit. */
function periodOf({renewing}: Subject, kind: RuleKind): string {
  const isOfPeriod = kind === 'used' || kind === 'left';
  return isOfPeriod && renewing?.period ? String(renewing.period.renewed.getTime()) : '';
}

/** The cause of a crossing, as far as it can be told; otherwise empty. */
function originOf({session, freeze}: Subject, kind: RuleKind): string {
  switch (kind) {
    case 'used':
    case 'left':
      return session?.spent == null ? '' : `spent:${toPlainDigits(session.spent)}`;
    case 'frozen':
      return `freeze:${freeze?.until?.getTime() ?? ''}:${digest(freeze?.reason ?? '')}`;
    case 'unreadable_freeze':
      return `freeze:${digest((freeze?.problems ?? []).join())}`;
    default:
      return '';
  }
}

/**
 * True when the crossing has another cause than when it was claimed: spending only grows, unless somebody removes it.
 */
function hasBegunAnew(before: string, now: string): boolean {
  if (before === '' || now === '' || before === now) return false;
  const [spent, present] = [before, now].map((origin) => /^spent:(.*)$/.exec(origin)?.[1]);
  if (spent === undefined || present === undefined) return true;
  const [old, money] = [parseStoredMoney(spent), parseStoredMoney(present)];
  return old !== undefined && money?.lt(old) === true;
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

function withOrigin(state: string, origin: string): string {
  return origin === '' ? state : `${state} ${origin}`;
}

/** Compares claims with the sessions that are read. A claim whose rule no longer holds is over, whoever made it. */
function comparing(claims: readonly Claim[]): {
  onSubject: (subject: Subject) => void;
  over: Claim[];
  /** Claims whose session has not been read yet. */
  unseen: Set<Claim>;
  /** New values for claims of an earlier version, which do not name their cause. */
  dated: Settlement[];
} {
  const byId = new Map<RawId, Claim[]>();
  for (const claim of claims) byId.set(claim.id, [...(byId.get(claim.id) ?? []), claim]);
  const over: Claim[] = [];
  const unseen = new Set(claims);
  const dated: Settlement[] = [];
  return {
    over,
    unseen,
    dated,
    onSubject(subject) {
      for (const claim of byId.get(subject.key) ?? []) {
        const stillHolds = claim.period === periodOf(subject, claim.kind) ? holds(claim, subject) : false;
        // Undefined for a kind that another version has written.
        if (stillHolds == null) continue;
        unseen.delete(claim);
        const [state = '', before = ''] = claim.value.split(' ');
        const origin = originOf(subject, claim.kind);
        if (!stillHolds || hasBegunAnew(before, origin)) over.push(claim);
        else if (before === '' && origin !== '' && state.startsWith('reported:')) {
          dated.push([claim.field, claim.value, withOrigin(state, origin)]);
        }
      }
    },
  };
}

/** The claims whose session has no budget, or no freeze, any more. */
async function findGone(redis: Redis, claims: ReadonlySet<Claim>): Promise<Claim[]> {
  const gone: Claim[] = [];
  for (const chunk of inGroups([...claims], CHUNK)) {
    const replies = await redis.pipeline(
      chunk.map(({kind, id}) => ['EXISTS', keyOf(isAboutFreeze(kind) ? FROZEN_UNTIL_KEYS : BUDGET_KEYS, id)]),
    );
    gone.push(...chunk.filter((_, index) => replies[index] === 0));
  }
  return gone;
}

function isAboutFreeze(kind: RuleKind): boolean {
  return kind === 'frozen' || kind === 'unreadable_freeze';
}

/** Runs a script on entries, some at a time, and returns its result for each. */
async function runScript(
  redis: Redis,
  key: string,
  script: string,
  values: readonly string[],
  entries: readonly (readonly string[])[],
): Promise<unknown[]> {
  const results: unknown[] = [];
  for (const chunk of inGroups(entries, CHUNK)) {
    const command: Command = ['EVAL', script, '1', key, ...values, ...chunk.flat().map(toBytes)];
    const [reply] = await redis.pipeline([command]);
    if (reply instanceof ErrorReply) throw explain(redis, key, reply);
    if (Array.isArray(reply)) results.push(...(reply as unknown[]));
  }
  return results;
}

function toBytes(latin1: string): RedisText {
  return Buffer.from(latin1, 'latin1');
}

function explain(redis: Redis, key: string, reply: ErrorReply): TokengateError {
  const error = redis.explain(reply);
  if (error.code === 'REDIS_NO_PERMISSION') {
    return new TokengateError('REDIS_NO_PERMISSION', error.message, {
      hint: `Reported crossings are kept in ${key}: the user needs ~tokengate:*, +hscan, +eval, +hget, +hset, +hdel and +expire.`,
      cause: reply,
    });
  }
  if (error.code !== 'WRONG_TYPE') return error;
  return new TokengateError('WRONG_TYPE', `${key} in Redis at ${redis.server.address} is not a hash.`, {
    hint: 'tokengate has not written it: remove it, or give another --state.',
    cause: reply,
  });
}
