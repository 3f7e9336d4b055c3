import {keyName} from '../../gateway/keys.js';
import {type Journal, toText} from '../../journal/entry.js';
import {ErrorReply, type Redis} from '../../redis/contract.js';
import {isScriptRefusal} from '../../redis/failures.js';
import {TokengateError} from '../../values/errors.js';
import {explainRefusal} from '../refusal.js';
import type {Found} from './read.js';

/** A cluster always needs scripts: nothing else can compare and set. */
export function explainOnCluster(redis: Redis, reply: ErrorReply, journal: Journal | undefined): TokengateError {
  const bare = new ErrorReply(reply.message.replace(/^JOURNAL /, ''));
  if (!isScriptRefusal(bare)) return explainRefusal(redis, reply, journal);
  const {code, message} = redis.explain(bare);
  return new TokengateError(code, message, {
    hint: 'Every change on a Cluster needs scripts (EVAL), with or without the journal. Nothing was changed.',
    cause: reply,
  });
}

/** Describes a change that could not be finished: which keys were changed, and what they held before. */
export function incomplete(code: string, why: string, changed: Iterable<Found>): TokengateError {
  const told = [...changed].map(({shape, old}) => {
    const was = typeof old === 'string' ? `'${toText(old)}'` : old ? 'no text' : 'none';
    return `${keyName(shape)} (it was ${was})`;
  });
  const what = told.length === 0 ? 'Nothing was changed.' : `Only this was changed: ${told.join(', ')}.`;
  return new TokengateError(code, `${why} ${what}`);
}
