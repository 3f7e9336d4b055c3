import {setTimeout as wait} from 'node:timers/promises';

import {
  describeAmount,
  describeAmounts,
  isAbsent,
  readAmounts,
  type StoredAmount,
  toAmount,
  toStoredAmount,
} from './amounts.js';
import {type Change, changeOne, type Settled} from './batch.js';
import {TokengateError} from './errors.js';
import {nameOf, type RawId} from './ids.js';
import {BUDGET_KEYS, keyOf, SPENT_KEYS} from './keys.js';
import {parseStoredMoney} from './money.js';
import {withKnownOutcome} from './outcome.js';
import {type Command, ErrorReply, type Redis} from './redis.js';
import {sessionNotFound} from './sessions.js';

/** What a reset removed: the text that stood there, exactly; null when there was none. */
export interface Reset {
  id: string;
  /** The same as bytes. */
  key: RawId;
  /** Null too when it was to be kept. */
  budget: string | null;
  spent: string | null;
}

export interface ResetOptions {
  /** Removes only what is spent. */
  keepBudget: boolean;
}

/**
 * Removes budget and spent (or spent alone) in one atomic step and returns exactly what it removed. It reads first, so
 * that a session that doesn't exist, or that holds a wrong kind of value, is refused untouched.
 *
 * @throws TokengateError SESSION_NOT_FOUND, WRONG_TYPE, RESET_INCOMPLETE, OUTCOME_UNKNOWN
 */
export async function resetSession(redis: Redis, id: RawId, options: ResetOptions): Promise<Reset> {
  const before = await readAmounts(redis, id);
  if (isAbsent(before)) throw sessionNotFound(id);
  for (const [name, value] of Object.entries<StoredAmount>({...before})) {
    if (value.state === 'invalid' && value.text === undefined) {
      throw new TokengateError(
        'WRONG_TYPE',
        `Session '${nameOf(id)}': its ${name} is ${value.why}. Nothing was removed.`,
        {
          hint: 'The gateway never writes that. Look at the key with redis-cli, and remove it there.',
        },
      );
    }
  }
  return withKnownOutcome(redis, {
    what: `session '${nameOf(id)}' was reset`,
    before: describeAmounts(before),
    look: async (fresh) => describeAmounts(await readAmounts(fresh, id)),
    async run() {
      const outcome = await remove(redis, id, options);
      if (outcome.state === 'failed') throw outcome.error;
      if (outcome.state === 'not_found') throw sessionNotFound(id, ' Somebody else has just removed it.');
      return outcome.result;
    },
  });
}

/** Resets of a batch: by script, which refuses a wrong kind of value without a look before; else by MULTI. */
export function resetting(redis: Redis, options: ResetOptions): Change<Reset> {
  return {
    shapes: [BUDGET_KEYS, SPENT_KEYS],
    script: REMOVE,
    values: [options.keepBudget ? 'spent' : 'both'],
    withoutScript: (id) => removalCommands(id, options),
    read: (id, reply) => readRemoval(redis, id, reply as unknown[], options),
    lookAt: [BUDGET_KEYS, SPENT_KEYS],
    preview(id, [budget, spent]) {
      const amounts = {budget: toStoredAmount(redis, budget), spent: toStoredAmount(redis, spent)};
      const facts = {id: nameOf(id), now: describeAmounts(amounts)};
      const refusal = [budget, spent].find((reply) => reply instanceof ErrorReply);
      if (refusal !== undefined) return {...facts, state: 'failed', error: redis.explain(refusal)};
      const isDone = options.keepBudget && amounts.spent.state === 'absent';
      return {...facts, state: isAbsent(amounts) ? 'not_found' : isDone ? 'unchanged' : 'done'};
    },
  };
}

/** `budget $25.50, spent $12.34`, with the text itself where it is not money. May hold untrusted text. */
export function describeRemoved({budget, spent}: Reset): string {
  const parts: string[] = [];
  if (budget !== null) parts.push(`budget ${describeText(budget)}`);
  if (spent !== null) parts.push(`spent ${describeText(spent)}`);
  return parts.length === 0 ? 'nothing' : parts.join(', ');
}

/** What most texts are, plain digits with decimals, is shown as it stands; the rest goes the long way. */
function describeText(text: string): string {
  return /^(0|[1-9]\d{0,17})\.\d{2,}$/.test(text) ? `$${text}` : describeAmount(toAmount(text));
}

/** Sessions are looked at this many at a time. */
const PAGE = 1000;

/** How long a request that was in flight at the reset may take to write what it had read, in milliseconds. */
export const WRITE_BACK_MS = 250;

/**
 * The gateway reads, adds and writes back in separate steps, so a request in flight can bring back the spending that a
 * reset removed. Looks at sessions whose reset is at least `WRITE_BACK_MS` old, and says which. They are reset, whatever
 * becomes of this look: when it fails, it says that.
 */
export async function findWriteBacks(redis: Redis, resets: readonly Reset[]): Promise<string[]> {
  const suspects = resets.filter(({spent}) => spent !== null);
  if (suspects.length === 0) return [];
  const values: (string | null)[] = [];
  try {
    for (let start = 0; start < suspects.length; start += PAGE) {
      const keys = suspects.slice(start, start + PAGE).map(({key}) => keyOf(SPENT_KEYS, key));
      values.push(...((await redis.send(['MGET', ...keys])) as (string | null)[]));
    }
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    return [`A look for spending that a request in flight wrote back failed: ${error.message}`];
  }
  return suspects.flatMap(({id, spent}, index) => {
    const text = values[index] ?? null;
    if (text === null) return [];
    const [old, now] = [parseStoredMoney(spent ?? ''), parseStoredMoney(text)];
    if (old === undefined || now === undefined || old.eq(0) || now.lt(old)) return [];
    return [
      `Session '${id}': its spending is back (${describeAmount(toAmount(text))}). A request in flight wrote it; reset it again.`,
    ];
  });
}

/** The same for one session that was reset just now. */
export async function findWriteBack(redis: Redis, reset: Reset): Promise<string[]> {
  if (reset.spent !== null) await wait(WRITE_BACK_MS);
  return findWriteBacks(redis, [reset]);
}

/**
 * Keys: budget, spent. ARGV: `spent` to remove only that, `both` to remove both. Returns both values as they were, or
 * the error of a key of a wrong type, and then has removed nothing.
 */
const REMOVE = `
  local values = redis.call('MGET', keys[1], keys[2])
  for i = 1, 2 do
    -- MGET gives nothing for a wrong type too; GET says so.
    local value = values[i] or redis.pcall('GET', keys[i])
    if type(value) == 'table' then return value end
  end
  if ARGV[1] == 'both' then redis.call('DEL', keys[1], keys[2]) else redis.call('DEL', keys[2]) end
  return values`;

function removalCommands(id: RawId, {keepBudget}: ResetOptions): Command[] {
  return [
    [keepBudget ? 'GET' : 'GETDEL', keyOf(BUDGET_KEYS, id)],
    ['GETDEL', keyOf(SPENT_KEYS, id)],
  ];
}

/**
 * GETDEL is refused by Redis below 6.2, and everything inside MULTI when memory is full (even what frees memory): the
 * script does the same there, and a refused MULTI has changed nothing.
 */
async function remove(redis: Redis, id: RawId, options: ResetOptions): Promise<Settled<Reset>> {
  try {
    return readRemoval(redis, id, await redis.transaction(removalCommands(id, options)), options);
  } catch (error) {
    const reply = error instanceof TokengateError ? error.cause : undefined;
    if (!(reply instanceof ErrorReply) || !/^(OOM|EXECABORT|ERR unknown command)/i.test(reply.message)) throw error;
    return changeOne(redis, id, resetting(redis, options));
  }
}

function readRemoval(redis: Redis, id: RawId, [budget, spent]: unknown[], {keepBudget}: ResetOptions): Settled<Reset> {
  const name = nameOf(id);
  if (budget === null && spent === null) return {id: name, state: 'not_found'};
  const text = (reply: unknown): string | null => (typeof reply === 'string' ? reply : null);
  const result = {id: name, key: id, budget: keepBudget ? null : text(budget), spent: text(spent)};
  const refusal = [budget, spent].find((reply) => reply instanceof ErrorReply);
  if (refusal !== undefined) {
    const kept = budget instanceof ErrorReply ? 'budget' : 'spent';
    const message = `Session '${name}': removed ${describeRemoved(result)}, but not its ${kept}: ${redis.explain(refusal).message}`;
    return {id: name, state: 'failed', error: new TokengateError('RESET_INCOMPLETE', message)};
  }
  return {id: name, state: keepBudget && spent === null ? 'unchanged' : 'done', result};
}
