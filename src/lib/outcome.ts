import {TokengateError} from './errors.js';
import {ErrorReply, type Redis} from './redis.js';

interface Change<T> {
  /** A clause that completes "it is unknown whether …". */
  what: string;
  /** The values before, when they were read. */
  before?: string;
  run: () => Promise<T>;
  /** Reads, on a fresh connection, what stands there now. */
  look: (fresh: Redis) => Promise<string>;
}

/** After these the server may or may not have carried out what it was sent. */
const UNKNOWN_AFTER = new Set([
  'REDIS_CONNECTION_LOST',
  'REDIS_TIMEOUT',
  'REDIS_PROTOCOL',
  'REDIS_ERROR',
  'INTERRUPTED',
]);

/**
 * Runs a write. When the connection ends before its answer, nothing is repeated: it looks once, on a fresh connection,
 * and says what was there before and what is there now.
 *
 * @throws TokengateError OUTCOME_UNKNOWN (INTERRUPTED stays INTERRUPTED)
 */
export async function withKnownOutcome<T>(redis: Redis, change: Change<T>): Promise<T> {
  try {
    return await change.run();
  } catch (error) {
    const answered = error instanceof TokengateError && error.cause instanceof ErrorReply;
    if (answered || !(error instanceof TokengateError) || !UNKNOWN_AFTER.has(error.code)) throw error;
    const before = change.before === undefined ? '' : `Before: ${change.before}. `;
    const code = error.code === 'INTERRUPTED' ? error.code : 'OUTCOME_UNKNOWN';
    throw new TokengateError(code, `${error.message} It is unknown whether ${change.what}.`, {
      hint: `${before}${describeLook(await lookAgain(redis, change.look))}`,
      cause: error,
    });
  }
}

/** Looks once on a fresh connection. Gives the error when that fails. */
export async function lookAgain<T>(redis: Redis, look: (fresh: Redis) => Promise<T>): Promise<T | TokengateError> {
  let fresh: Redis | undefined;
  try {
    fresh = await redis.reopen();
    return await look(fresh);
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    return error;
  } finally {
    fresh?.close();
  }
}

/** What a second look has shown, in a sentence. */
export function describeLook(now: string | TokengateError): string {
  return now instanceof TokengateError ? `A second look failed: ${now.message}` : `Now: ${now}.`;
}
