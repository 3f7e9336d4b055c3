import type {Journal} from '../journal/entry.js';
import {ErrorReply, type Redis} from '../redis/contract.js';
import {isScriptRefusal} from '../redis/failures.js';
import {TokengateError} from '../values/errors.js';

/** What is wrong with the journal itself; any other refusal would meet the change too. */
const OF_JOURNAL = new Set(['REDIS_NO_PERMISSION', 'WRONG_TYPE']);

export function explainRefusal(redis: Redis, reply: ErrorReply, journal: Journal | undefined): TokengateError {
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
    hint: 'The journal needs scripts (EVAL). Without it, --no-journal, budgets can be set and sessions be reset.',
    cause: reply,
  });
}
