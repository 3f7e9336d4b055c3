import {describeEnd, FOREVER} from '../../../lib/gateway/freeze.js';
import {explainUsedUp, type Session} from '../../../lib/gateway/session.js';
import type {Journal} from '../../../lib/journal/entry.js';
import {addBudgetChange} from '../../../lib/operations/budget.js';
import {
  describeCleared,
  freezeChange,
  freezeLook,
  problemsBefore,
  unfreezeChange,
  unfreezeLook,
} from '../../../lib/operations/freeze.js';
import {describeRemoved, resetChange, resetLook} from '../../../lib/operations/reset.js';
import {serverTime} from '../../../lib/redis/server-time.js';
import {TokengateError} from '../../../lib/values/errors.js';
import {formatExactMoney, type Money, parseAmount, ZERO} from '../../../lib/values/money.js';
import {parseDuration} from '../../../lib/values/time.js';
import {capitalize, countOf, formatCount} from '../../text/words.js';
import {carryOut, type Done, type Place} from './carry-out.js';

/** What a key does to sessions, after its questions and a confirmation. */
export interface Action {
  key: string;
  /** As in "freeze". */
  verb: string;
  fields: readonly Field[];
  /** Asked last; may hold untrusted text. */
  question: (sessions: readonly Session[], answers: readonly string[]) => string;
  confirmations: readonly Confirmation[];
  /** The reason for the journal. */
  reason?: (answers: readonly string[]) => string;
  /** @throws TokengateError why a single session was not changed */
  run: (place: Place, answers: Answers) => Promise<Done>;
}

/** A key that confirms; any other is a no. */
export interface Confirmation {
  key: string;
  means: string;
}

/** The answers that a change needs, besides its sessions. */
interface Answers {
  answers: readonly string[];
  /** The key that confirmed it. */
  confirmation: string;
}

/** The journal's record of a change; undefined when none is kept. */
export type MakeJournal = (reason?: string, undoes?: string) => Journal | undefined;

interface Field {
  label: string;
  initial: string;
  /** @throws TokengateError what is wrong with the answer */
  check: (answer: string) => void;
}

export const YES = [{key: 'y', means: 'yes'}];

/** The changes of the commands, made by the same code. */
export const ACTIONS: readonly Action[] = [
  {
    key: 'f',
    verb: 'freeze',
    fields: [
      {label: 'Freeze for (30m, 2h, 7d, forever)', initial: '1h', check: parseLength},
      {label: 'Reason, which the API client is told too', initial: 'Manual freeze', check: refuseEmpty},
    ],
    question: (sessions, [length = '', reason = '']) =>
      `Freeze ${name(sessions)} ${length === 'forever' ? '' : 'for '}${length} (${reason})?`,
    confirmations: YES,
    reason: ([, reason = '']) => reason,
    async run(place, {answers: [length = '', reason = '']}) {
      const began = await serverTime(place.redis);
      const seconds = parseLength(length);
      const until = seconds === undefined ? FOREVER : new Date(began.getTime() + seconds * 1000);
      return carryOut(place, {
        change: freezeChange({reason, until, now: began, force: false}),
        began,
        tell({id, until: end, reason: why}, isChanged) {
          if (isChanged) return {text: `✓ Session '${id}' frozen ${describeEnd(end)}`};
          const text = `Session '${id}' is frozen ${describeEnd(end)} already (${why ?? 'no reason'})`;
          return {
            text,
            warnings: [`The freeze of '${id}' ends no sooner, so it was kept. Unfreeze the session first.`],
          };
        },
        tellAll: count('frozen'),
        look: freezeLook,
      });
    },
  },
  {
    key: 'u',
    verb: 'unfreeze',
    fields: [],
    question(sessions) {
      const [its, it] = sessions.length === 1 ? ['the counters', 'it'] : ['their counters', 'them'];
      return `Unfreeze ${name(sessions)}, and clear ${its} that would freeze ${it} again?`;
    },
    confirmations: YES,
    async run(place) {
      const began = await serverTime(place.redis);
      return carryOut(place, {
        change: unfreezeChange({now: began}),
        began,
        tell(unfreeze) {
          const {id, previous} = unfreeze;
          const cleared = describeCleared(unfreeze);
          const text =
            previous.isFrozen === false
              ? `Session '${id}' is not frozen${cleared === '' ? '' : `; ${cleared}`}`
              : `✓ Session '${id}' unfrozen`;
          return {text, warnings: problemsBefore(unfreeze)};
        },
        tellAll: count('unfrozen'),
        look: unfreezeLook,
      });
    },
  },
  {
    key: '+',
    verb: 'add budget',
    fields: [{label: 'US dollars to add (-5 takes away)', initial: '', check: parseSigned}],
    question(sessions, [typed = '']) {
      const amount = parseSigned(typed);
      const change = amount.lt(ZERO)
        ? `Take ${formatExactMoney(amount.abs())} from`
        : `Add ${formatExactMoney(amount)} to`;
      const [{budget} = {budget: null}] = sessions;
      const result =
        budget === null || sessions.length > 1
          ? ''
          : ` (${formatExactMoney(budget)}, then ${formatExactMoney(budget.plus(amount))})`;
      return `${change} the budget of ${sessions.length > 1 ? 'each of ' : ''}${name(sessions)}${result}?`;
    },
    confirmations: YES,
    async run(place, {answers: [typed = '']}) {
      return carryOut(place, {
        change: addBudgetChange(parseSigned(typed)),
        began: await serverTime(place.redis),
        tell({session: {id, budget, spent}, previousBudget}) {
          return {
            text: `✓ Budget of '${id}': ${show(budget)} (it was ${show(previousBudget)})`,
            warnings: budget !== null && spent?.gte(budget) ? [`${explainUsedUp(id, spent)}.`] : [],
          };
        },
        tellAll: count('given another budget'),
      });
    },
  },
  {
    key: 'r',
    verb: 'reset',
    fields: [],
    question(sessions) {
      const [one] = sessions;
      if (one === undefined || sessions.length > 1) {
        return `Reset ${name(sessions)}: remove their budgets and what they have spent? Without a budget the next request of each gets the gateway's default.`;
      }
      return `Reset '${one.id}': remove its budget ${show(one.budget)} and what it has spent, ${show(one.spent)}? Without a budget its next request gets the gateway's default.`;
    },
    confirmations: [
      {key: 'y', means: 'remove both'},
      {key: 'k', means: 'keep the budget'},
    ],
    async run(place, {confirmation}) {
      return carryOut(place, {
        change: resetChange({keepBudget: confirmation === 'k'}),
        began: await serverTime(place.redis),
        tell: (reset, isChanged) => ({
          text: isChanged
            ? `✓ Session '${reset.id}' reset, removed: ${describeRemoved(reset)}`
            : `Session '${reset.id}' unchanged: it has no spending`,
        }),
        tellAll: count('reset'),
        look: resetLook,
      });
    },
  },
];

/** @param group the group, if these are all of its sessions */
export function titleOf({verb}: Action, sessions: readonly Session[], group?: string): string {
  const [one] = sessions;
  const what = one !== undefined && sessions.length === 1 ? one.id : countOf(sessions.length, 'session');
  return `${capitalize(verb)}: ${what}${group === undefined ? '' : `, all of group '${group}'`}`;
}

/** Describes the outcome for several sessions. */
function count(done: string): (changed: number, of: number) => string {
  return (changed, of) => `${changed === 0 ? '' : '✓ '}${formatCount(changed)} of ${countOf(of, 'session')} ${done}`;
}

/** Sessions to name in a question. */
const NAMED = 20;

function name(sessions: readonly Session[]): string {
  const names = sessions.slice(0, NAMED).map(({id}) => `'${id}'`);
  if (sessions.length === 1) return names.join('');
  const more = sessions.length > NAMED ? `, and ${sessions.length - NAMED} more` : '';
  return `${sessions.length} sessions (${names.join(', ')}${more})`;
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
