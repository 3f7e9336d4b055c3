import {beforeEach, describe, expect, test} from 'vitest';

import {askUndo, type KeyName, press, sayError} from '../../../../src/cli/watch/reduce.js';
import {openState, type Effect, type State, takeReading} from '../../../../src/cli/watch/state.js';
import {toSession} from '../../../../src/lib/gateway/session.js';
import {toAmount} from '../../../../src/lib/gateway/stored-amount.js';
import {makeGroups} from '../../../../src/lib/sessions/groups.js';
import {TokengateError} from '../../../../src/lib/values/errors.js';
import {parseStoredMoney} from '../../../../src/lib/values/money.js';
import {rawId} from '../../../../src/lib/values/session-id.js';
import {statusOf, type Watched} from '../../../../src/lib/watch/row.js';

/** By the first part of the ID. */
const byTeam = makeGroups({globs: [], depth: 1, separator: ':'});

/** A session that spends so much a minute. */
function watched(id: string, rate: string | null, spent = '5'): Watched {
  const session = toSession(rawId(id), {budget: toAmount('20'), spent: toAmount(spent)});
  const money = rate === null ? null : parseStoredMoney(rate)!;
  const facts = {status: statusOf(session), rate: money, requests: 0};
  return {id: rawId(id), session, ...facts, renewsAt: null, renewsIn: null};
}

const reading = (rates: Record<string, string | null>) => ({
  at: new Date('2026-11-22T10:00:00Z'),
  sessions: Object.entries(rates).map(([id, rate]) => watched(id, rate)),
});

let state: State;
let effects: Effect[];
let turn: number;
beforeEach(() => {
  // As after the first reading: no rate is known, and rows stand by their IDs.
  state = openState(
    {sort: 'rate', reverse: false, groupOf: byTeam, isFolded: false},
    reading({a: null, b: null, c: null, d: null}),
  );
  [effects, turn] = [[], 0];
});

let agreed: string | undefined;

function send(key: {name: KeyName} | {text: string} | {pasted: string}, own = ++turn): void {
  const step = press(state, {...key, turn: own});
  state = step.state;
  if (step.effect !== undefined) effects.push(step.effect);
  agreed = step.agreed;
}
/** Each character is a key of its own turn. */
function type(text: string): void {
  for (const character of text) send({text: character});
}
const key = (...names: KeyName[]): void => {
  for (const name of names) send({name});
};
const order = (): string => state.rows.map(({session}) => session.id).join('');
const selected = (): string | undefined => state.rows.find(({id}) => id === state.selected)?.session.id;
const rates = (rates: Record<string, string | null>): void => {
  state = takeReading(state, reading(rates));
};
/** The IDs that a dialog or an effect is about. */
const about = (of: unknown): string[] => {
  const {sessions, request} = of as {sessions?: {id: string}[]; request?: {sessions?: {id: string}[]}};
  return (sessions ?? request?.sessions ?? []).map(({id}) => id);
};
const dialog = (): Record<string, unknown> & {kind?: string} => state.dialog ?? {};
const said = (): string => state.notice?.messages.map(({text}) => text).join(' ') ?? '';

const FAST_LAST = {a: '0', b: '1', c: '2', d: '9'};

describe('the selection is a session', () => {
  test('it is the first row, whichever that is, until a key goes to a session', () => {
    expect([order(), selected()]).toEqual(['abcd', undefined]);
    rates(FAST_LAST);
    expect(order()).toBe('dcba');
    type('f');
    expect(about(dialog())).toEqual(['d']);
  });

  test.each<[string, () => void, string]>([
    [
      'j',
      () => {
        type('j');
      },
      'b',
    ],
    [
      'down, up',
      () => {
        key('down', 'up');
      },
      'a',
    ],
    [
      'g',
      () => {
        type('g');
      },
      'a',
    ],
    [
      'Home',
      () => {
        key('home');
      },
      'a',
    ],
    [
      'End',
      () => {
        key('end');
      },
      'd',
    ],
    [
      'a mark',
      () => {
        type('m');
      },
      'a',
    ],
    [
      'an action',
      () => {
        type('f');
        key('escape');
      },
      'a',
    ],
    [
      'an explanation',
      () => {
        type('e');
      },
      'a',
    ],
    [
      'a page',
      () => {
        key('enter');
      },
      'a',
    ],
  ])('%s pins it, whatever rows do then', (_, act, id) => {
    act();
    expect(selected()).toBe(id);
    rates(FAST_LAST);
    expect([order(), selected()]).toEqual(['dcba', id]);
  });

  test('when it is gone, the session in its place is selected', () => {
    type('j');
    rates({a: null, c: null, d: null});
    expect(selected()).toBe('c');
    rates({a: null});
    expect(selected()).toBe('a');
    rates({});
    expect(selected()).toBeUndefined();
    type('fumedG');
    expect([state.dialog, effects]).toEqual([undefined, []]);
  });

  test('Esc takes away the message, the marks, the filter, the selection, one after the other', () => {
    type('/b');
    key('enter');
    type('m');
    state = sayError(state, new TokengateError('X', 'Bad.'));
    key('escape');
    expect([said(), state.marked.size]).toEqual(['', 1]);
    key('escape');
    expect([state.marked.size, order()]).toEqual([0, 'b']);
    key('escape');
    expect([order(), selected()]).toEqual(['abcd', 'b']);
    key('escape');
    expect(selected()).toBeUndefined();
  });
});

describe('behind a dialog', () => {
  test.each<[string, string]>([
    ['f', 'field'],
    ['u', 'confirm'],
    ['?', 'help'],
    ['/', 'filter'],
  ])('rows stay where they are: %s', (typed, kind) => {
    type(typed);
    expect(dialog().kind).toBe(kind);
    rates(FAST_LAST);
    rates({...FAST_LAST, e: '99'});
    expect(order()).toBe('abcd');
    key('escape');
    expect(order()).toBe('edcba');
  });

  test('the session acted on is the one that was seen, and stays selected', () => {
    type('f');
    rates(FAST_LAST);
    type('2h');
    key('enter', 'enter');
    rates({...FAST_LAST, e: '99'});
    type('y');
    expect(effects).toMatchObject([{kind: 'change', answers: ['2h', 'Manual freeze'], confirmation: 'y'}]);
    expect(about(effects[0])).toEqual(['a']);
    expect([order(), selected()]).toEqual(['edcba', 'a']);
  });
});

describe('a dialog', () => {
  test('keeps what was typed with what is wrong, until the next key', () => {
    type('f1h2h');
    key('enter');
    expect(dialog()).toMatchObject({kind: 'field', problem: expect.stringContaining("'1h2h'")});
    key('home', 'delete', 'delete');
    expect(dialog()).toMatchObject({problem: '', line: {before: '', after: '2h'}});
    key('enter');
    expect(dialog()).toMatchObject({answers: ['2h']});
    key('eraseBefore', 'enter');
    expect(dialog()).toMatchObject({problem: 'The reason is empty.'});
  });

  test('a key that came together with the one that led to the question confirms nothing', () => {
    const together = ++turn;
    for (const text of 'uyyy') send({text}, together);
    expect([dialog().kind, effects]).toEqual(['confirm', []]);
    send({pasted: 'y'});
    expect([dialog().kind, effects]).toEqual(['confirm', []]);
    type('y');
    expect(effects).toHaveLength(1);
  });

  test.each(['n', 'x', 'Y'])('%s at the question', (text) => {
    type(`u${text}`);
    expect(effects).toHaveLength(text === 'Y' ? 1 : 0);
    expect(said()).toBe(text === 'Y' ? '' : 'Cancelled: nothing was changed.');
  });

  test('"Cancelled" goes at the next key, an error does not', () => {
    type('r');
    key('enter');
    expect(said()).toBe('Cancelled: nothing was changed.');
    type('j');
    expect(said()).toBe('');
    state = sayError(state, new TokengateError('X', 'Bad.', {hint: 'Do better.'}));
    type('j');
    expect(said()).toBe('Bad. Do better.');
  });

  test('what is pasted is text where text is typed, and no command elsewhere', () => {
    send({pasted: 'uy'});
    send({pasted: 'q'});
    expect([state.dialog, effects]).toEqual([undefined, []]);
    type('f2h');
    key('enter');
    send({pasted: 'loop\nin prod'});
    expect(dialog()).toMatchObject({line: {before: 'loop in prod'}});
  });
});

describe('the filter', () => {
  test('works while it is typed, and Esc brings back the one before', () => {
    type('/[bc]');
    expect(order()).toBe('bc');
    key('enter');
    expect([order(), state.filter.typed]).toEqual(['bc', '[bc]']);
    type('/c');
    expect([order(), state.filter.typed]).toEqual(['c', 'c']);
    key('escape');
    expect([order(), state.filter.typed]).toEqual(['bc', '[bc]']);
  });

  test('an expression works as soon as it is one; until then, what was in force before', () => {
    type('/used >');
    expect([order(), dialog()['problem']]).toEqual(['abcd', '']);
    type(' 90');
    expect(order()).toBe('');
    key('erase', 'erase', 'enter');
    expect(dialog()['problem']).toContain("Invalid filter 'used >'");
    type('1');
    key('enter');
    expect([order(), state.filter.typed]).toEqual(['abcd', 'used > 1']);
  });

  test('hides the selected session: then the first row is selected', () => {
    type('j/d');
    key('enter');
    expect([order(), selected()]).toEqual(['d', undefined]);
    type('f');
    expect(about(dialog())).toEqual(['d']);
  });

  test('while it is typed a hidden selection is kept for Esc', () => {
    type('j/d');
    key('escape');
    expect([order(), selected()]).toEqual(['abcd', 'b']);
  });
});

describe('marks', () => {
  test('make one action of several sessions, in the order of their rows', () => {
    type('jmGmu');
    expect(about(dialog())).toEqual(['b', 'd']);
    expect(dialog()).toMatchObject({
      title: 'Unfreeze: 2 sessions',
      question: "Unfreeze 2 sessions ('b', 'd'), and clear their counters that would freeze them again?",
    });
    type('y');
    expect(about(effects[0])).toEqual(['b', 'd']);
  });

  test('M marks all that are shown, then none; m takes one away', () => {
    type('/[ab]');
    key('enter');
    type('M');
    key('escape');
    expect(state.marked.size).toBe(0);
    type('M');
    expect([...state.marked]).toEqual(['a', 'b']);
    type('m');
    expect([...state.marked]).toEqual(['b']);
    type('MM');
    expect(state.marked.size).toBe(0);
  });

  test('go with the session', () => {
    type('mjm');
    rates({b: null, c: null});
    expect([...state.marked]).toEqual(['b']);
  });

  test('are not for what is done on the page of one session', () => {
    type('Mj');
    const [, one] = state.rows;
    state = {...state, dialog: {kind: 'page', one: one!, lines: [], top: 0}};
    type('u');
    expect(about(dialog())).toEqual(['b']);
  });
});

describe('undo', () => {
  const own = {change: 'k7m2q9x4tv', what: "freeze 'a'"};
  const prepared = {
    what: own.what,
    server: {address: 'localhost:6379', database: 0},
    recorded: {
      change: own.change,
      command: 'watch-sessions',
      actor: 'me',
      sessions: new Map([[rawId('a'), {keys: []}]]),
    },
  } as unknown as Parameters<typeof askUndo>[1];

  test('is of the last change of this view', () => {
    type('z');
    expect([effects, said()]).toEqual([[], 'There is nothing to undo: this view has recorded no change.']);
    state = {...state, changes: [{change: 'other', what: 'x'}, own]};
    type('z');
    expect(effects).toEqual([{kind: 'prepareUndo', change: own}]);
  });

  test('asks the question of undo-change, and a key of the same turn is no answer', () => {
    state = askUndo(state, prepared, 7);
    expect(dialog()).toMatchObject({
      title: "Undo: freeze 'a'",
      question: "Undo watch-sessions (change k7m2q9x4tv by me), of 1 session on localhost:6379 db 0 ('a')?",
    });
    send({text: 'y'}, 7);
    expect(effects).toEqual([]);
    send({text: 'y'}, 8);
    expect(effects).toEqual([{kind: 'undo', undo: prepared, confirmation: 'y'}]);
  });

  test('asks nothing over another dialog', () => {
    type('f');
    const before = state.dialog;
    state = askUndo(state, prepared, 7);
    expect(state.dialog).toBe(before);
  });
});

describe('other keys', () => {
  test('s goes in the order of the columns, and i inverts', () => {
    const seen = Array.from({length: 9}, () => {
      type('s');
      return state.sort;
    });
    expect(seen).toEqual(['empty', 'requests', 'status', 'id', 'budget', 'spent', 'remaining', 'used', 'rate']);
    type('Si');
    expect([state.sort, state.reverse]).toEqual(['used', true]);
    type('S');
    expect([state.sort, state.reverse]).toEqual(['remaining', false]);
  });

  test('F1 helps, F10 leaves from everywhere', () => {
    key('f1');
    expect(dialog().kind).toBe('help');
    key('f10');
    expect(effects).toEqual([{kind: 'leave'}]);
    key('escape');
    expect(state.dialog).toBeUndefined();
  });

  test('Enter and d ask for the page, e for the explanation, Space for a reading, q for the end', () => {
    key('enter');
    type('de q');
    expect(effects.map(({kind}) => kind)).toEqual(['page', 'page', 'explain', 'read', 'leave']);
  });

  test('while something is under way no action begins', () => {
    state = {...state, busy: 'freezing'};
    for (const text of 'fz') {
      type(text);
      expect([state.dialog, said()]).toEqual([undefined, 'Wait: freezing.']);
    }
    type('e');
    expect(effects).toEqual([]);
  });

  test('a page is scrolled, and left', () => {
    const [one] = state.rows;
    state = {...state, page: 10, dialog: {kind: 'page', one: one!, lines: [], top: 0}};
    const top = (): unknown => dialog()['top'];
    type('jj');
    key('pageDown', 'up');
    expect(top()).toBe(11);
    key('home', 'up');
    expect(top()).toBe(0);
    type('x');
    expect(state.dialog).toBeUndefined();
  });
});

describe('what is protected', () => {
  beforeEach(() => {
    state = {...state, guard: {name: 'prod'}};
  });

  test('asks for the name after the first yes, and then does what was asked for', () => {
    type('uy');
    expect([dialog().kind, effects]).toEqual(['name', []]);
    type('prod');
    key('enter');
    expect(agreed).toBe('prod');
    expect(effects).toMatchObject([{kind: 'change', confirmation: 'y'}]);
    expect(about(effects[0])).toEqual(['a']);
  });

  test.each(['stagin', 'Prod', ''])('takes no other name, such as %j', (typed) => {
    type('uy');
    type(typed);
    key('enter');
    expect([agreed, effects, dialog().kind]).toEqual([undefined, [], undefined]);
    expect(said()).toContain('nothing was changed');
  });

  test('is left by Esc', () => {
    type('uyprod');
    key('escape');
    expect([effects, said()]).toEqual([[], 'Cancelled: nothing was changed.']);
  });
});

test('on a read-only context no key begins a change', () => {
  state = {...state, guard: {readOnly: "The context 'audit' is read-only."}, changes: [{change: 'c', what: 'x'}]};
  for (const letter of 'fu+rz') {
    type(letter);
    expect([dialog().kind, effects, said()]).toEqual([undefined, [], "The context 'audit' is read-only."]);
  }
});

describe('groups', () => {
  beforeEach(() => {
    rates({'a:1': '1', 'a:2': '2', 'b:1': '9', c: '0'});
  });
  const names = (): string => state.rows.map(({session}) => session.id).join(' ');

  test('t folds, with the group of the selected session selected, and unfolds', () => {
    expect(names()).toBe('b:1 a:2 a:1 c');
    type('jjt');
    expect([names(), selected()]).toEqual(['b a c', 'a']);
    type('t');
    expect([names(), selected()]).toEqual(['b:1 a:2 a:1 c', 'a:2']);
  });

  test('Enter opens the selected one, Esc goes back to it', () => {
    type('tj');
    key('enter');
    expect([names(), selected()]).toEqual(['a:2 a:1', 'a:2']);
    type('j');
    key('enter');
    expect(effects).toMatchObject([{kind: 'page', one: {session: {id: 'a:1'}}}]);
    key('escape');
    expect([names(), selected()]).toEqual(['b a c', 'a']);
  });

  test('they move by their sums, and the selection goes with them', () => {
    type('tj');
    rates({'a:1': '8', 'a:2': '2', 'b:1': '9', c: '0'});
    expect([names(), selected()]).toEqual(['a b c', 'a']);
    type('s');
    expect(state.sort).toBe('empty');
    rates({'b:1': '9'});
    expect([names(), selected()]).toEqual(['b', 'b']);
  });

  test('a filter is for their sessions', () => {
    type('t/1');
    key('enter');
    expect([names(), state.rows.map(({group}) => group?.members.length)]).toEqual(['b a', [1, 1]]);
    key('escape');
    expect(names()).toBe('b a c');
  });

  test('an action is for all sessions of the group that are shown, and says of how many', () => {
    type('tju');
    expect(about(dialog())).toEqual(['a:2', 'a:1']);
    expect(dialog()).toMatchObject({
      title: "Unfreeze: 2 sessions, all of group 'a'",
      question: "Unfreeze 2 sessions ('a:2', 'a:1'), and clear their counters that would freeze them again?",
    });
    key('escape');
    type('f');
    key('enter');
    expect(dialog()).toMatchObject({title: "Freeze: 2 sessions, all of group 'a'"});
  });

  test('a mark is for all sessions of the group', () => {
    type('tjmGm');
    expect([...state.marked]).toEqual(['a:2', 'a:1', 'c']);
    type('u');
    expect(dialog()).toMatchObject({title: 'Unfreeze: 3 sessions'});
    key('escape', 'escape');
    type('gjm');
    expect([...state.marked]).toEqual(['a:2', 'a:1']);
    type('M');
    expect([...state.marked]).toEqual(['a:2', 'a:1', 'b:1', 'c']);
  });

  test('a group has no explanation', () => {
    type('te');
    expect([effects, said()]).toEqual([[], 'A group has no next request: Enter opens it.']);
  });

  test('the sums of what is shown go on behind a dialog', () => {
    type('t');
    type('?');
    rates({'a:1': '1', 'a:2': '2', 'b:1': '9', c: '0', d: '1'});
    expect(state.summary.count).toBe(4);
  });
});
