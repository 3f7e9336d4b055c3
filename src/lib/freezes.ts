import {TokengateError} from './errors.js';
import {
  budgetKey,
  freezeReasonKey,
  frozenUntilKey,
  identicalCountKey,
  lastHashKey,
  requestCountKey,
  spentKey,
} from './keys.js';
import {withKnownOutcome} from './outcome.js';
import {ErrorReply, type Redis} from './redis.js';
import {formatGatewayTime, formatUtc, parseGatewayTime} from './time.js';

/** What the two freeze keys of a session say. */
export interface FreezeState {
  /** Null when the end time is one that the gateway cannot read: then every request ends in HTTP 500. */
  isFrozen: boolean | null;
  /** The end of the freeze; null without one. In the past when the gateway is about to clear it. */
  until: Date | null;
  /** Untrusted text; null without one. */
  reason: string | null;
  /** One sentence for each thing that is not as the gateway writes it. May hold untrusted text. */
  problems: string[];
}

export interface Freeze {
  id: string;
  until: Date;
  reason: string;
  /** What this freeze replaced. */
  previous: FreezeState;
  /** False when nothing is known of the session: it has neither a budget nor spending. */
  isKnown: boolean;
}

export interface Unfreeze {
  id: string;
  previous: FreezeState;
  /** True when a counter was removed that could have frozen the session again. */
  countersCleared: boolean;
}

export interface FreezeOptions {
  reason: string;
  /** Seconds. */
  length: number;
  now: Date;
}

/** Both keys in one atomic step, with the same TTL, in the form that the gateway obeys. */
export async function freezeSession(redis: Redis, id: string, {reason, length, now}: FreezeOptions): Promise<Freeze> {
  if (reason === '') throw new TokengateError('INVALID_REASON', 'The reason is empty.');
  const until = new Date(now.getTime() + length * 1000);
  return withKnownOutcome(redis, {
    what: `session '${id}' was frozen`,
    look: (fresh) => describeFreeze(fresh, id, now),
    async run() {
      const [untilReply, reasonReply, known, ...sets] = await redis.transaction([
        ['GET', frozenUntilKey(id)],
        ['GET', freezeReasonKey(id)],
        ['EXISTS', budgetKey(id), spentKey(id)],
        ['SET', frozenUntilKey(id), formatGatewayTime(until), 'EX', String(length)],
        ['SET', freezeReasonKey(id), reason, 'EX', String(length)],
      ]);
      const refusal = sets.find((reply) => reply instanceof ErrorReply);
      if (refusal !== undefined) throw redis.explain(refusal);
      const previous = toFreezeState(redis, id, untilReply, reasonReply, now);
      return {id, until, reason, previous, isKnown: known !== 0};
    },
  });
}

/**
 * Ends a freeze, and clears the counters that would bring it back at the next request: identical requests, the last
 * request's hash, requests of the last minute. All in one atomic step.
 */
export async function unfreezeSession(redis: Redis, id: string, {now}: {now: Date}): Promise<Unfreeze> {
  return withKnownOutcome(redis, {
    what: `session '${id}' was unfrozen`,
    look: (fresh) => describeFreeze(fresh, id, now),
    async run() {
      const [untilReply, reasonReply, freezeKeys, counters] = await redis.transaction([
        ['GET', frozenUntilKey(id)],
        ['GET', freezeReasonKey(id)],
        ['DEL', frozenUntilKey(id), freezeReasonKey(id)],
        ['DEL', identicalCountKey(id), lastHashKey(id), requestCountKey(id)],
      ]);
      for (const reply of [freezeKeys, counters]) if (reply instanceof ErrorReply) throw redis.explain(reply);
      return {
        id,
        previous: toFreezeState(redis, id, untilReply, reasonReply, now),
        countersCleared: Number(counters) > 0,
      };
    },
  });
}

/** Reads the replies to GET `frozen_until` and GET `freeze_reason`. */
export function toFreezeState(redis: Redis, id: string, until: unknown, reason: unknown, now: Date): FreezeState {
  for (const reply of [until, reason]) {
    if (reply instanceof ErrorReply && !reply.message.includes('WRONGTYPE')) throw redis.explain(reply);
  }
  const state: FreezeState = {
    isFrozen: false,
    until: null,
    reason: typeof reason === 'string' ? reason : null,
    problems: [],
  };
  if (reason instanceof ErrorReply)
    state.problems.push(`The freeze reason of session '${id}' is of a wrong Redis type.`);
  if (until === null) return state;
  const text = typeof until === 'string' ? until : undefined;
  const time = text === undefined ? undefined : parseGatewayTime(text);
  if (time?.kind === 'time') return {...state, isFrozen: time.at > now, until: time.at};
  const why =
    time === undefined ? 'of a wrong Redis type' : `'${text ?? ''}'${time.kind === 'offset' ? ', with an offset' : ''}`;
  state.problems.push(`The freeze end of session '${id}' is ${why}: the gateway answers its requests with HTTP 500.`);
  return {...state, isFrozen: null};
}

async function describeFreeze(redis: Redis, id: string, now: Date): Promise<string> {
  const [until, reason] = await redis.pipeline([
    ['GET', frozenUntilKey(id)],
    ['GET', freezeReasonKey(id)],
  ]);
  const state = toFreezeState(redis, id, until, reason, now);
  if (!state.isFrozen || state.until === null) return 'not frozen';
  return `frozen until ${formatUtc(state.until)} (${state.reason ?? 'no reason'})`;
}
