import {ErrorReply, type Redis} from '../redis/contract.js';
import {TokengateError} from '../values/errors.js';
import {type Money, parseStoredMoney, ZERO} from '../values/money.js';
import {nameOf, type RawId} from '../values/session-id.js';
import {parseGatewayTime} from '../values/time.js';
import {HISTORY_KEYS, keyOf, keysOf, KNOWN_KEYS} from './keys.js';

/** The gateway keeps this many requests of a session, for an hour after the last one. */
export const HISTORY_LENGTH = 100;

/** A request as the gateway has recorded it. Null means not recorded, or unreadable. */
export interface RecordedRequest {
  at: Date | null;
  /** As the API client sent it: untrusted text; JSON if it was not a string. */
  model: string | null;
  /** Null for the 0 that the gateway records for every request. */
  cost: Money | null;
  /** The entry itself, when the gateway can't have written it. */
  malformed: string | null;
}

export interface History {
  /** Newest first. */
  requests: RecordedRequest[];
  /** False when Redis holds nothing at all for this ID. */
  isKnown: boolean;
}

/**
 * Reads the newest requests of a session.
 *
 * @throws TokengateError WRONG_TYPE
 */
export async function readHistory(redis: Redis, id: RawId, {limit}: {limit: number}): Promise<History> {
  const [entries, known] = await redis.pipeline([
    // Redis has no range for an empty list.
    limit === 0
      ? ['LRANGE', keyOf(HISTORY_KEYS, id), '1', '0']
      : ['LRANGE', keyOf(HISTORY_KEYS, id), '0', String(limit - 1)],
    ['EXISTS', ...keysOf(KNOWN_KEYS, [id])],
  ]);
  if (entries instanceof ErrorReply && entries.message.includes('WRONGTYPE')) {
    const message = `The history of session '${nameOf(id)}' is of a wrong Redis type: the gateway answers its requests with HTTP 500.`;
    throw new TokengateError('WRONG_TYPE', message, {hint: 'Repair it with: tokengate check-store --fix'});
  }
  for (const reply of [entries, known]) if (reply instanceof ErrorReply) throw redis.explain(reply);
  return {requests: (entries as string[]).map(parseEntry), isKnown: known !== 0};
}

function parseEntry(entry: string): RecordedRequest {
  const malformed: RecordedRequest = {at: null, model: null, cost: null, malformed: entry};
  const fields = parseJson(entry);
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) return malformed;
  const {timestamp, model = null, cost = 0} = fields as Record<string, unknown>;
  const time = typeof timestamp === 'string' ? parseGatewayTime(timestamp) : undefined;
  // The shortest text of a binary float, as Python writes it.
  const amount = typeof cost === 'number' ? parseStoredMoney(String(cost)) : undefined;
  if (time?.kind !== 'time' || amount === undefined) return malformed;
  return {
    at: time.at,
    model: model === null || typeof model === 'string' ? model : JSON.stringify(model),
    cost: amount.eq(ZERO) ? null : amount,
    malformed: null,
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
