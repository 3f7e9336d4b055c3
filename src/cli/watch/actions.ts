import {describeEnd, FOREVER} from '../../lib/gateway/freeze.js';
import type {Session} from '../../lib/gateway/session.js';
import type {Journal} from '../../lib/journal/entry.js';
import {addBudget} from '../../lib/operations/budget.js';
import {describeCleared, freezeSession, unfreezeSession} from '../../lib/operations/freeze.js';
import {describeRemoved, findWriteBack, resetSession} from '../../lib/operations/reset.js';
import {refuseReplica} from '../../lib/redis/connect.js';
import type {Redis} from '../../lib/redis/contract.js';
import {serverTime} from '../../lib/redis/server-time.js';
import {TokengateError} from '../../lib/values/errors.js';
import {formatExactMoney, type Money, parseAmount} from '../../lib/values/money.js';
import {parseDuration} from '../../lib/values/time.js';

/** What a key does to the session that is selected, after its questions and a confirmation. */
export interface Action {
  key: string;
  /** As in "freeze". */
  verb: string;
  fields: readonly Field[];
  /** Asked last; may hold untrusted text. */
  question: (session: Session, answers: readonly string[]) => string;
  /** The keys that confirm; any other is a no. */
  confirmations: readonly {key: string; means: string}[];
  run: (context: Context) => Promise<Done>;
}

interface Context {
  redis: Redis;
  session: Session;
  answers: readonly string[];
  /** The key that confirmed it. */
  confirmation: string;
  journal: MakeJournal;
}

/** What the journal is to say of a change; undefined when none is kept. */
export type MakeJournal = (reason?: string) => Journal | undefined;

interface Field {
  label: string;
  initial: string;
  /** @throws TokengateError what is wrong with the answer */
  check: (answer: string) => void;
}

/** What was done, with warnings; may hold untrusted text. */
export interface Done {
  text: string;
  warnings: string[];
}

const YES = [{key: 'y', means: 'yes'}];

/** The same changes as the commands make, by the same code. */
export const ACTIONS: readonly Action[] = [
  {
    key: 'f',
    verb: 'freeze',
    fields: [
      {label: 'Freeze for (30m, 2h, 7d, forever)', initial: '1h', check: parseLength},
      {label: 'Reason, which the API client is told too', initial: 'Manual freeze', check: refuseEmpty},
    ],
    question: ({id}, [length = '', reason = '']) =>
      `Freeze '${id}' ${length === 'forever' ? '' : 'for '}${length} (${reason})?`,
    confirmations: YES,
    async run({redis, session, answers: [length = '', reason = ''], journal}) {
      const now = await serverTime(redis);
      const seconds = parseLength(length);
      const until = seconds === undefined ? FOREVER : new Date(now.getTime() + seconds * 1000);
      const freeze = await freezeSession(redis, session.key, {reason, until, now, force: false}, journal(reason));
      if (!freeze.isKept) return {text: `✓ Session '${freeze.id}' frozen ${describeEnd(freeze.until)}`, warnings: []};
      const text = `Session '${freeze.id}' is frozen ${describeEnd(freeze.until)} already (${freeze.reason ?? 'no reason'})`;
      return {text, warnings: ['That freeze ends no sooner, so it was kept. Unfreeze the session first.']};
    },
  },
  {
    key: 'u',
    verb: 'unfreeze',
    fields: [],
    question: ({id}) => `Unfreeze '${id}', and clear the counters that would freeze it again?`,
    confirmations: YES,
    async run({redis, session: {key}, journal}) {
      const options = {now: await serverTime(redis)};
      const unfreeze = await unfreezeSession(redis, key, options, journal());
      const {id, previous} = unfreeze;
      const cleared = describeCleared(unfreeze);
      const text =
        previous.isFrozen === false
          ? `Session '${id}' is not frozen${cleared === '' ? '' : `; ${cleared}`}`
          : `✓ Session '${id}' unfrozen`;
      return {text, warnings: previous.problems};
    },
  },
  {
    key: '+',
    verb: 'add budget',
    fields: [{label: 'US dollars to add (-5 takes away)', initial: '', check: parseSigned}],
    question({id, budget}, [typed = '']) {
      const amount = parseSigned(typed);
      const change = amount.lt(0)
        ? `Take ${formatExactMoney(amount.abs())} from`
        : `Add ${formatExactMoney(amount)} to`;
      const result =
        budget === null ? '' : ` (${formatExactMoney(budget)}, then ${formatExactMoney(budget.plus(amount))})`;
      return `${change} the budget of '${id}'${result}?`;
    },
    confirmations: YES,
    async run({redis, session: {key}, answers: [typed = ''], journal}) {
      const {session, previousBudget} = await addBudget(redis, key, parseSigned(typed), journal());
      const {id, budget, spent} = session;
      const isSpent = budget !== null && spent?.gte(budget);
      const text = `✓ Budget of '${id}': ${show(budget)} (it was ${show(previousBudget)})`;
      return {
        text,
        warnings: isSpent ? [`Session '${id}' has spent ${show(spent)}: the gateway refuses its requests.`] : [],
      };
    },
  },
  {
    key: 'r',
    verb: 'reset',
    fields: [],
    question: ({id, budget, spent}) =>
      `Reset '${id}': remove its budget ${show(budget)} and what it has spent, ${show(spent)}? ` +
      "Without a budget its next request gets the gateway's default.",
    confirmations: [
      {key: 'y', means: 'remove both'},
      {key: 'k', means: 'keep the budget'},
    ],
    async run({redis, session: {key}, confirmation, journal}) {
      const reset = await resetSession(redis, key, {keepBudget: confirmation === 'k'}, journal());
      const text = `✓ Session '${reset.id}' reset, removed: ${describeRemoved(reset)}`;
      return {text, warnings: await findWriteBack(redis, reset)};
    },
  },
];

/** @throws TokengateError what the command would say */
export async function act({run}: Action, context: Context): Promise<Done> {
  refuseReplica(context.redis);
  return run(context);
}

/** @returns seconds; undefined for a freeze without end */
function parseLength(typed: string): number | undefined {
  return typed === 'forever' ? undefined : parseDuration(typed);
}

function parseSigned(typed: string): Money {
  return typed.startsWith('-') ? parseAmount(typed.slice(1)).value.neg() : parseAmount(typed).value;
}

function refuseEmpty(typed: string): void {
  if (typed === '') throw new TokengateError('INVALID_REASON', 'The reason is empty.');
}

function show(amount: Money | null | undefined): string {
  return amount == null ? 'invalid' : formatExactMoney(amount);
}
