import {STORE_KEY} from '../gateway/keys.js';
import type {Journal} from '../journal/entry.js';
import {ErrorReply, NoReply, orNoReply, type Redis} from '../redis/contract.js';
import {confirmFlag} from '../redis/describe-server.js';
import {isScriptRefusal} from '../redis/failures.js';
import {TokengateError} from '../values/errors.js';

/** Errors of the journal itself; any other error would meet the change as well. */
const OF_JOURNAL = new Set(['REDIS_NO_PERMISSION', 'WRONG_TYPE']);

/** The error reply of a change script in a protected store. */
const OF_STORE = /^STORE (.*)$/s;

/** For changes without a script that refuses them: whether the store is protected and its name was not given. */
export async function refuseByStore(redis: Redis): Promise<ErrorReply | NoReply | undefined> {
  const {to} = redis.consent;
  if (to === true) return undefined;
  const replies = await orNoReply(redis.pipeline([['GET', STORE_KEY]]));
  if (replies instanceof NoReply) return replies;
  const [name] = replies;
  if (name instanceof ErrorReply) return name.message.startsWith('WRONGTYPE') ? name : undefined;
  return typeof name === 'string' && name !== to ? new ErrorReply(`STORE ${name}`) : undefined;
}

export function explainRefusal(redis: Redis, reply: ErrorReply, journal: Journal | undefined): TokengateError {
  const [, store] = OF_STORE.exec(reply.message) ?? [];
  if (store !== undefined) {
    // Remembered for the next question.
    redis.server.store = store;
    return new TokengateError('CONFIRMATION_REQUIRED', `The store was protected a moment ago, as '${store}'.`, {
      hint: `Nothing was changed. Run it again, or add ${confirmFlag(store)}.`,
      cause: reply,
    });
  }
  if (reply.message.startsWith('WRONGTYPE')) {
    // Other values are read without regard to their type.
    return new TokengateError('WRONG_TYPE', `The key ${STORE_KEY}, the name of the store, is of a wrong Redis type.`, {
      hint: 'Nothing was changed. tokengate never writes that: look at the key with redis-cli, and remove it there.',
      cause: reply,
    });
  }
  const [, ofJournal] = /^JOURNAL (.*)$/s.exec(reply.message) ?? [];
  if (ofJournal !== undefined) {
    const {code, message} = redis.explain(new ErrorReply(ofJournal));
    if (!OF_JOURNAL.has(code)) return redis.explain(new ErrorReply(ofJournal));
    return new TokengateError('JOURNAL_REFUSED', `The journal of changes cannot be written: ${message}`, {
      hint: 'Nothing was changed. To change it without a record: --no-journal, or TOKENGATE_JOURNAL=off.',
      cause: reply,
    });
  }
  const error = redis.explain(reply);
  if (!isScriptRefusal(reply)) return error;
  if (journal === undefined) {
    const {code, message, hint = 'This change needs scripts (EVAL). See rename-command of the server.'} = error;
    return new TokengateError(code, message, {hint, cause: reply});
  }
  return new TokengateError(error.code, error.message, {
    hint: 'The journal needs scripts (EVAL). With --no-journal you can still set budgets and reset sessions.',
    cause: reply,
  });
}
