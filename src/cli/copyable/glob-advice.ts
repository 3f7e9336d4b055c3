import type {Redis} from '../../lib/redis/contract.js';
import {countSessions} from '../../lib/sessions/unknown-ids.js';
import {formatCount} from '../text/words.js';
import {toCommandLine} from './shell-quote.js';

/**
 * For a glob that found nothing: how many sessions there are, and which glob would find some. Undefined if it matches
 * a session with a budget, which something else has left out.
 */
export async function adviseOn(redis: Redis, glob: string): Promise<string | undefined> {
  const {count, isComplete, isMatched, wider} = await countSessions(redis, glob);
  if (isMatched) return undefined;
  const total = `There ${count === 1 ? 'is' : 'are'} ${isComplete ? '' : 'more than '}${formatCount(count)}.`;
  const advice = wider === undefined ? '' : ` Did you mean --match ${toCommandLine([wider]) ?? ''}?`;
  return `No session was found for --match '${glob}'. ${total}${advice}`;
}
