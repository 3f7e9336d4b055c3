import {isUtf8} from 'node:buffer';

import {TokengateError} from './errors.js';
import {budgetKey, BUDGET_KEY_PATTERN, idOfBudgetKey, type RedisText, spentKey, spentKeyBeside} from './keys.js';
import {formatExactMoney, isInfinite, type Money, parseStoredMoney, type TypedAmount, ZERO} from './money.js';
import {withKnownOutcome} from './outcome.js';
import {ErrorReply, type Redis} from './redis.js';

/** What stands in Redis for one session. An amount is null when it is not money; `problems` then says what it is. */
export interface Session {
  id: string;
  budget: Money | null;
  /** 0 when the gateway has written nothing yet. */
  spent: Money | null;
  /** Never negative. */
  remaining: Money | null;
  /** Spent, in percent of the budget, unrounded; of a budget of 0 it is 0 when nothing is spent, else 100. */
  percentageUsed: Money | null;
  /** One sentence for each thing that is not as the gateway writes it. May hold untrusted text. */
  problems: string[];
}

export interface BudgetChange {
  session: Session;
  /** Null when there was none, or when what was there is not money (then `problems` says so). */
  previousBudget: Money | null;
  problems: string[];
}

export interface Reset {
  id: string;
  /** The text that was removed, exactly; null when there was none. */
  budget: string | null;
  spent: string | null;
}

/** An ID is any text but none, exactly as the API client sent it. */
export function parseSessionId(text: string): string {
  if (text === '') throw new TokengateError('INVALID_SESSION_ID', 'The session ID is empty.');
  if (!text.isWellFormed()) {
    throw new TokengateError('INVALID_SESSION_ID', `The session ID '${text}' is not valid Unicode text.`);
  }
  return text;
}

/** @throws TokengateError SESSION_NOT_FOUND when the session has no budget */
export async function findSession(redis: Redis, id: string): Promise<Session> {
  const {budget, spent} = await readAmounts(redis, id);
  if (budget.state === 'absent') {
    throw notFound(
      id,
      spent.state === 'absent'
        ? ''
        : ` It has spent ${describe(spent)} all the same, and gets a budget at its next request.`,
    );
  }
  return toSession(id, budget, spent);
}

/** Every session that has a budget, once, in the order of their IDs. */
export async function listSessions(redis: Redis): Promise<Session[]> {
  const seen = new Set<string>();
  const sessions: Session[] = [];
  let cursor = '0';
  do {
    const [page] = await redis.pipelineBytes([['SCAN', cursor, 'MATCH', BUDGET_KEY_PATTERN, 'COUNT', '1000']]);
    if (page instanceof ErrorReply) throw redis.explain(page);
    const [next, keys] = page as [Buffer, Buffer[]];
    const fresh: ListedKeys[] = [];
    for (const key of keys) {
      const listed = toListedKeys(key);
      if (seen.has(listed.id)) continue;
      seen.add(listed.id);
      fresh.push(listed);
    }
    if (fresh.length > 0) sessions.push(...(await readPage(redis, fresh)));
    cursor = String(next);
  } while (cursor !== '0');
  return sessions.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
}

/** Sets the budget. What it replaces is read in the same atomic step. */
export async function setBudget(redis: Redis, id: string, amount: TypedAmount): Promise<BudgetChange> {
  return withKnownOutcome(redis, {
    what: `the budget of session '${id}' was set`,
    look: (fresh) => describeState(fresh, id),
    async run() {
      const [previousReply, spentReply, setReply] = await redis.transaction([
        ['GET', budgetKey(id)],
        ['GET', spentKey(id)],
        ['SET', budgetKey(id), amount.text],
      ]);
      if (setReply instanceof ErrorReply) throw redis.explain(setReply);
      const previous = toStored(redis, previousReply);
      const session = toSession(
        id,
        {state: 'money', text: amount.text, amount: amount.value},
        toStored(redis, spentReply),
      );
      const problems =
        previous.state === 'invalid' ? [`The budget of session '${id}' was ${previous.why}; it is replaced.`] : [];
      return {session, previousBudget: previous.state === 'money' ? previous.amount : null, problems};
    },
  });
}

/**
 * Removes budget and spent in one atomic step and returns exactly what it removed. It reads first, so that a session
 * that doesn't exist, or that holds a wrong kind of value, is refused untouched.
 *
 * @throws TokengateError SESSION_NOT_FOUND, WRONG_TYPE, RESET_INCOMPLETE, OUTCOME_UNKNOWN
 */
export async function resetSession(redis: Redis, id: string): Promise<Reset> {
  const before = await readAmounts(redis, id);
  if (before.budget.state === 'absent' && before.spent.state === 'absent') throw notFound(id);
  for (const [name, value] of Object.entries(before)) {
    if (value.state === 'invalid' && value.text === undefined) {
      throw new TokengateError('WRONG_TYPE', `Session '${id}': its ${name} is ${value.why}. Nothing was removed.`, {
        hint: 'The gateway never writes that. Look at the key with redis-cli, and remove it there.',
      });
    }
  }
  const [budget, spent] = await withKnownOutcome(redis, {
    what: `session '${id}' was reset`,
    before: describeAmounts(before.budget, before.spent),
    look: (fresh) => describeState(fresh, id),
    run: () => removeBoth(redis, [budgetKey(id), spentKey(id)]),
  });
  const removed = {id, budget: textOf(budget), spent: textOf(spent)};
  const refusal = [budget, spent].find((reply) => reply instanceof ErrorReply);
  if (refusal !== undefined) {
    const kept = budget instanceof ErrorReply ? 'budget' : 'spent';
    throw new TokengateError(
      'RESET_INCOMPLETE',
      `Session '${id}': removed ${describeRemoved(removed)}, but not its ${kept}: ${redis.explain(refusal).message}`,
    );
  }
  if (removed.budget === null && removed.spent === null) throw notFound(id, ' Somebody else has just removed it.');
  return removed;
}

/** `budget $25.50, spent $12.34`, with the text itself where it is not money. May hold untrusted text. */
export function describeRemoved(reset: Reset): string {
  const parts: string[] = [];
  if (reset.budget !== null) parts.push(`budget ${describe(toStoredText(reset.budget))}`);
  if (reset.spent !== null) parts.push(`spent ${describe(toStoredText(reset.spent))}`);
  return parts.length === 0 ? 'nothing' : parts.join(', ');
}

/** A value as it stands in Redis. `text` is missing when the key is not a string. */
type Stored =
  | {state: 'absent'}
  | {state: 'money'; text: string; amount: Money}
  | {state: 'invalid'; text?: string; why: string; effect: string};

interface ListedKeys {
  id: string;
  budget: RedisText;
  spent: RedisText;
  problems: string[];
}

/** Returns both old values. One script is one atomic step; a wrong type ends it before anything is removed. */
const REMOVE_BOTH = `
local values = {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])}
redis.call('DEL', KEYS[1], KEYS[2])
return values`;

/**
 * GETDEL is refused by Redis below 6.2, and everything inside MULTI when memory is full (even what frees memory): a
 * script does the same there, and a refused MULTI has changed nothing.
 */
async function removeBoth(redis: Redis, keys: [string, string]): Promise<unknown[]> {
  try {
    return await redis.transaction(keys.map((key) => ['GETDEL', key]));
  } catch (error) {
    const reply = error instanceof TokengateError ? error.cause : undefined;
    if (!(reply instanceof ErrorReply) || !/^(OOM|EXECABORT|ERR unknown command)/i.test(reply.message)) throw error;
    return (await redis.send(['EVAL', REMOVE_BOTH, '2', ...keys])) as unknown[];
  }
}

function toListedKeys(key: Buffer): ListedKeys {
  const text = key.toString();
  if (!text.includes('\uFFFD') || isUtf8(key)) {
    const id = idOfBudgetKey(text);
    return {id, budget: text, spent: spentKey(id), problems: []};
  }
  const id = idOfBudgetKey(escapeInvalidUtf8(key));
  return {
    id,
    budget: key,
    spent: spentKeyBeside(key),
    problems: [`The ID of session '${id}' is invalid: its key is not UTF-8 text.`],
  };
}

/** Valid text as it is, each byte that is not part of any as `\xNN`. */
function escapeInvalidUtf8(bytes: Buffer): string {
  let text = '';
  for (let start = 0; start < bytes.length;) {
    const length = [1, 2, 3, 4].find((n) => start + n <= bytes.length && isUtf8(bytes.subarray(start, start + n)));
    text +=
      length === undefined
        ? `\\x${bytes.toString('hex', start, start + 1)}`
        : bytes.toString('utf8', start, start + length);
    start += length ?? 1;
  }
  return text;
}

/** MGET answers null for a key of a wrong type too, and fails whole for one that may not be read: GET tells them apart. */
async function readPage(redis: Redis, page: ListedKeys[]): Promise<Session[]> {
  const keys = [...page.map(({budget}) => budget), ...page.map(({spent}) => spent)];
  const reply = await redis.send(['MGET', ...keys]).catch((error: unknown) => {
    if (error instanceof TokengateError && error.code === 'REDIS_NO_PERMISSION') return keys.map(() => null);
    throw error;
  });
  const values = reply as (string | null)[];
  const unclear = keys.filter((_, index) => values[index] === null);
  const replies = (unclear.length === 0 ? [] : await redis.pipeline(unclear.map((key) => ['GET', key]))).values();
  const stored = values.map((value) => toListed(redis, value ?? replies.next().value));
  return page.flatMap(({id, problems}, index) => {
    const budget = stored[index];
    const spent = stored[page.length + index];
    if (!budget || !spent || budget.state === 'absent') return []; // Removed since the scan saw its key.
    const session = toSession(id, budget, spent);
    return [{...session, problems: [...problems, ...session.problems]}];
  });
}

/** A key that this user may not read is no reason to show none. */
function toListed(redis: Redis, reply: unknown): Stored {
  if (reply instanceof ErrorReply && /^NOPERM.* key/i.test(reply.message)) {
    return {state: 'invalid', why: 'not readable', effect: 'this Redis user lacks a permission on its key'};
  }
  return toStored(redis, reply);
}

async function readAmounts(redis: Redis, id: string): Promise<{budget: Stored; spent: Stored}> {
  const [budget, spent] = await redis.pipeline([
    ['GET', budgetKey(id)],
    ['GET', spentKey(id)],
  ]);
  return {budget: toStored(redis, budget), spent: toStored(redis, spent)};
}

function toStored(redis: Redis, reply: unknown): Stored {
  if (typeof reply === 'string') return toStoredText(reply);
  if (!(reply instanceof ErrorReply)) return {state: 'absent'};
  if (!reply.message.includes('WRONGTYPE')) throw redis.explain(reply);
  return {state: 'invalid', why: 'of a wrong Redis type', effect: 'the gateway answers its requests with HTTP 503'};
}

function toStoredText(text: string): Stored {
  const amount = parseStoredMoney(text);
  if (amount !== undefined) return {state: 'money', text, amount};
  const shown = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  return {
    state: 'invalid',
    text,
    why: `'${shown}', which is not an amount`,
    effect: isInfinite(text) ? 'the gateway takes it as no limit' : 'the gateway answers its requests with HTTP 503',
  };
}

function toSession(id: string, budget: Stored, spent: Stored): Session {
  const limit = budget.state === 'money' ? budget.amount : null;
  const used = spent.state === 'money' ? spent.amount : spent.state === 'absent' ? ZERO : null;
  const problems: string[] = [];
  for (const [name, value] of [
    ['budget', budget],
    ['spent', spent],
  ] as const) {
    if (value.state === 'invalid') problems.push(`The ${name} of session '${id}' is ${value.why}: ${value.effect}.`);
  }
  return {
    id,
    budget: limit,
    spent: used,
    remaining: limit === null || used === null ? null : remainingOf(limit, used),
    percentageUsed: limit === null || used === null ? null : percentageOf(limit, used),
    problems,
  };
}

function remainingOf(budget: Money, spent: Money): Money {
  const left = budget.minus(spent);
  return left.lt(ZERO) ? ZERO : left;
}

function percentageOf(budget: Money, spent: Money): Money {
  if (budget.lte(ZERO)) return spent.gt(ZERO) ? ZERO.plus(100) : ZERO;
  return spent.times(100).div(budget);
}

async function describeState(redis: Redis, id: string): Promise<string> {
  const {budget, spent} = await readAmounts(redis, id);
  return describeAmounts(budget, spent);
}

function describeAmounts(budget: Stored, spent: Stored): string {
  return `budget ${describe(budget)}, spent ${describe(spent)}`;
}

function describe(value: Stored): string {
  if (value.state === 'absent') return 'none';
  if (value.state === 'money') return formatExactMoney(value.amount);
  return value.text === undefined ? value.why : `'${value.text}'`;
}

function textOf(reply: unknown): string | null {
  return typeof reply === 'string' ? reply : null;
}

function notFound(id: string, more = ''): TokengateError {
  return new TokengateError('SESSION_NOT_FOUND', `Session '${id}' not found.${more}`, {
    hint: 'IDs are compared exactly. See them all with: tokengate list-sessions',
  });
}
