import {describe, expect, test} from 'vitest';

import {
  BUDGET_KEYS,
  FREEZE_REASON_KEYS,
  FROZEN_UNTIL_KEYS,
  IDENTICAL_COUNT_KEYS,
  type KeyShape,
  SPENT_KEYS,
  VELOCITY_KEYS,
} from '../../../../src/lib/gateway/keys.js';
import type {Held} from '../../../../src/lib/gateway/stored-value.js';
import type {KeyRecord, Value} from '../../../../src/lib/journal/entry.js';
import {
  findChanges,
  findLast,
  type RecordedChange,
  undoChange,
  type UndoOptions,
} from '../../../../src/lib/operations/undo.js';
import type {Redis} from '../../../../src/lib/redis/contract.js';
import {type RawId, rawId} from '../../../../src/lib/values/session-id.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';

const x = rawId('x');
const NOW = new Date('2026-11-22T16:00:10Z');
const TEN_SECONDS_AGO = new Date('2026-11-22T16:00:00Z');
const END = '2026-11-22T17:00:00.000';

let server: TestRedis;
let redis: Redis;
withRedis((own) => ({server, redis} = own));

const text = (value: string, ttl = -1): Value => ({kind: 'text', text: value, ttl});
const dump = (ttl = -1): Value => ({kind: 'dump', text: 'DUMP', ttl});
const key = (shape: KeyShape, before: Value, after: Value | undefined): KeyRecord => ({shape, before, after});

type Later = {change: string; command: string; undoes: string | undefined}[];

function recorded(keys: KeyRecord[], {later = [] as Later, isComplete = true} = {}): RecordedChange {
  return {
    ...{change: 'c', command: 'set-budget', actor: 'me', reason: '', version: '1', undoes: undefined, began: undefined},
    at: TEN_SECONDS_AGO,
    sessions: new Map([[x, {keys, at: TEN_SECONDS_AGO, isComplete}]]),
    later: new Map(later.length === 0 ? [] : [[x, later]]),
    newest: undefined,
    isWhole: true,
  };
}

/** What undoing would write, or what it says. */
function plan(change: RecordedChange, old: Held[], options: Partial<UndoOptions> = {}, id: RawId = x): unknown {
  const outcome = undoChange(change, {now: NOW, force: false, merge: false, ...options}).plan(id, old, []);
  if (outcome.state === 'write') return outcome.next;
  return outcome.state === 'failed' ? outcome.error.message : outcome.state;
}

describe('undoing puts back', () => {
  test('what was there where all is as the change left it, and says so', () => {
    const change = recorded([
      key(SPENT_KEYS, text('0.5'), false),
      key(BUDGET_KEYS, text('1'), text('2')),
      key(IDENTICAL_COUNT_KEYS, text('3', 60_000), undefined),
    ]);
    const {shapes, lookAt, plan: decide} = undoChange(change, {now: NOW, force: false, merge: false});
    expect([shapes, lookAt]).toEqual([
      [BUDGET_KEYS, SPENT_KEYS],
      [BUDGET_KEYS, SPENT_KEYS],
    ]);
    expect(decide(x, ['2', false], [])).toEqual({
      state: 'write',
      expected: ['2', false],
      next: ['1', '0.5'],
      result: {
        id: 'x',
        change: 'c',
        keys: [
          {shape: BUDGET_KEYS, held: '1'},
          {shape: SPENT_KEYS, held: '0.5'},
        ],
        left: [expect.objectContaining({kind: 'spent', from: '0', to: '0.5'})],
      },
    });
  });

  test.each<[string, Value, unknown, Held]>([
    ['no key', false, false, false],
    ['a text', text('a'), 'a', 'a'],
    ['a text with the rest of its life', text('a', 60_000), ['a', 50_000], 'a'],
    ['a text with its last millisecond', text('a', 10_001), ['a', 1], 'a'],
    ['nothing of a life that is over this moment', text('a', 10_000), false, false],
    ['nothing of a life that is over', text('a', 500), false, false],
    ['nothing of a life that was over at once', text('a', 0), false, false],
    ['a value of another type', dump(), ['DUMP', 0, 'dump'], true],
    ['a value of another type with the rest of its life', dump(60_000), ['DUMP', 50_000, 'dump'], true],
    ['nothing of a value of another type that is over', dump(10_000), false, false],
  ])('%s', (_, before, next, held) => {
    const change = recorded([key(VELOCITY_KEYS, before, text('z'))]);
    const {plan: decide} = undoChange(change, {now: NOW, force: false, merge: false});
    expect(decide(x, ['z'], [])).toMatchObject({next: [next], result: {keys: [{shape: VELOCITY_KEYS, held}]}});
  });

  test.each<[string, Value, Held]>([
    ['a freeze that has run out', text(END, 5000), false],
    ['a freeze that goes on', text(END, 60_000), END],
    ['a value of another type', dump(), true],
  ])('what was there after %s, which is as the change left it', (_, after, current) => {
    expect(plan(recorded([key(FROZEN_UNTIL_KEYS, text('before'), after)]), [current])).toEqual(['before']);
  });

  test('only the keys that the change of that session had to do with', () => {
    const change = recorded([key(BUDGET_KEYS, text('1'), text('2'))]);
    change.sessions.set(rawId('y'), {
      keys: [key(SPENT_KEYS, text('1'), false), key(BUDGET_KEYS, text('1'), undefined)],
      at: NOW,
      isComplete: true,
    });
    expect(plan(change, ['2', '9'])).toEqual(['1', null]);
    expect(plan(change, ['9', false], {}, rawId('y'))).toEqual([null, '1']);
    expect(plan(change, ['2', '9'], {}, rawId('z'))).toBe('unchanged');
  });
});

describe('undoing refuses', () => {
  const force = '--force puts back what was there.';
  test.each<[string, KeyRecord[], Held[], string, Later?]>([
    [
      'a budget that was changed since',
      [key(BUDGET_KEYS, text('1'), text('2'))],
      ['3'],
      `its budget is $3.00 now, not $2.00 as that change left it (it was $1.00 before). ${force}`,
    ],
    [
      'one that this CLI has changed since, which it names',
      [key(BUDGET_KEYS, text('1'), text('2'))],
      [false],
      `its budget is none now, not $2.00 as that change left it (it was $1.00 before). It was changed since by reset-session (d), add-budget (e). ${force}`,
      [
        {change: 'd', command: 'reset-session', undoes: undefined},
        {change: 'e', command: 'add-budget', undoes: undefined},
      ],
    ],
    [
      'spending since a reset, which can be merged',
      [key(BUDGET_KEYS, dump(), false), key(SPENT_KEYS, text('1'), false)],
      ['10', '0.25'],
      `its budget is $10.00 now, not none as that change left it (it was of a wrong Redis type before); its spent is $0.25 now, not none as that change left it (it was $1.00 before). --merge adds what was spent since to what was removed. ${force}`,
    ],
    [
      'a budget after a reset of that alone, which cannot be merged',
      [key(BUDGET_KEYS, false, false), key(SPENT_KEYS, false, text('1'))],
      ['10', '1'],
      `its budget is $10.00 now, not none as that change left it (it was none before). ${force}`,
    ],
    [
      'a freeze that was replaced',
      [key(FROZEN_UNTIL_KEYS, false, text(END, 60_000)), key(FREEZE_REASON_KEYS, false, text('Bot', 60_000))],
      [END, 'Loop'],
      `its freeze_reason is 'Loop' now, not 'Bot' as that change left it (it was none before). ${force}`,
    ],
    [
      'the end of a freeze',
      [key(FROZEN_UNTIL_KEYS, text('x', 60_000), false)],
      ['y'],
      `its frozen_until is 'y' now, not none as that change left it (it was 'x' before). ${force}`,
    ],
  ])('%s', (_, keys, old, message, later = []) => {
    const change = recorded(keys, {later});
    expect(plan(change, old)).toBe(message);
    expect(undoChange(change, {now: NOW, force: false, merge: false}).plan(x, old, [])).toMatchObject({
      id: 'x',
      state: 'failed',
      error: {code: 'CHANGED_SINCE'},
    });
    expect(plan(change, old, {force: true})).toBeInstanceOf(Array);
  });

  test('to hint at merging when that was asked for', () => {
    const keys = [key(BUDGET_KEYS, text('1'), text('2')), key(SPENT_KEYS, text('2'), false)];
    expect(plan(recorded(keys), ['2', '1'])).toContain('--merge');
    expect(plan(recorded(keys), ['3', '1'], {merge: true})).not.toContain('--merge');
  });

  test('to hint at merging when that would be refused too', () => {
    expect(plan(recorded([key(SPENT_KEYS, text('nan'), false)]), ['1'])).not.toContain('--merge');
  });
});

describe('undoing leaves alone', () => {
  test('a counter that the gateway has moved on, and puts back one that stands still', () => {
    const counters = [
      key(IDENTICAL_COUNT_KEYS, text('3', 60_000), false),
      key(FROZEN_UNTIL_KEYS, text(END, 60_000), false),
    ];
    expect(plan(recorded(counters), [false, '1'])).toEqual([[END, 50_000], null]);
    expect(plan(recorded(counters), [false, '1'], {force: true})).toEqual([
      [END, 50_000],
      ['3', 50_000],
    ]);
    expect(plan(recorded(counters), [false, '1'], {merge: true})).toEqual([[END, 50_000], null]);
    expect(plan(recorded(counters.slice(0, 1)), ['1'])).toBe('unchanged');
  });

  test('what is undone already, but not what was undone and redone', () => {
    const keys = [key(BUDGET_KEYS, text('1'), text('2'))];
    const undo = {change: 'u', command: 'undo-change', undoes: 'c'};
    const redo = {change: 'v', command: 'undo-change', undoes: 'u'};
    const again = {change: 'w', command: 'undo-change', undoes: 'v'};
    const other = {change: 'o', command: 'undo-change', undoes: 'z'};
    expect(plan(recorded(keys, {later: [undo]}), ['2'])).toBe('unchanged');
    expect(plan(recorded(keys, {later: [redo, undo]}), ['2'])).toEqual(['1']);
    expect(plan(recorded(keys, {later: [again, redo, undo]}), ['2'])).toBe('unchanged');
    expect(plan(recorded(keys, {later: [other]}), ['2'])).toEqual(['1']);
  });

  test('what was announced and is not known to be done where it stands as it was before', () => {
    const keys = [key(BUDGET_KEYS, text('1'), text('2'))];
    expect(plan(recorded(keys, {isComplete: false}), ['1'])).toBe('unchanged');
    expect(plan(recorded(keys, {isComplete: false}), ['2'])).toEqual(['1']);
    expect(plan(recorded(keys, {isComplete: false}), ['3'])).toContain('its budget is $3.00 now');
    expect(plan(recorded(keys), ['1'])).toContain('its budget is $1.00 now');
    const same = [key(BUDGET_KEYS, text('1'), text('1'))];
    expect(plan(recorded(same, {isComplete: false}), ['1'])).toEqual(['1']);
  });
});

test('a freeze that is over by its text is not revived, even when its keys had no end', () => {
  const keys = (until: string): KeyRecord[] => [
    key(FROZEN_UNTIL_KEYS, text(until), false),
    key(FREEZE_REASON_KEYS, text('r'), false),
  ];
  expect(plan(recorded(keys('2026-11-22T16:00:10.000')), [false, false])).toBe('unchanged');
  expect(plan(recorded(keys('2026-11-22T16:00:10.000')), ['x', 'y'], {force: true})).toEqual([false, false]);
  expect(plan(recorded(keys('2026-11-22T16:00:10.001')), [false, false])).toEqual(['2026-11-22T16:00:10.001', 'r']);
  expect(plan(recorded(keys('no time')), [false, false])).toEqual(['no time', 'r']);
});

describe('undoing with --merge', () => {
  const merged = (keys: KeyRecord[], old: Held[], later: Later = []): unknown =>
    plan(recorded(keys, {later}), old, {merge: true});
  const other = [{change: 'o', command: 'set-budget', undoes: undefined}];

  test('adds what was spent since to what a reset removed, exactly', () => {
    const spent = key(SPENT_KEYS, text('0.02643664999999999982'), false);
    expect(merged([spent], ['1e-05'])).toEqual(['0.02644664999999999982']);
    expect(merged([spent], [false])).toEqual(['0.02643664999999999982']);
    expect(merged([key(SPENT_KEYS, false, false)], [false])).toBe('unchanged');
    // A part of it was removed, such as what a request had written back.
    expect(merged([key(SPENT_KEYS, text('9.6'), text('0.1'))], ['0.35'])).toEqual(['9.85']);
    expect(merged([key(SPENT_KEYS, text('9.6'), text('0.1'))], ['0.05'])).toContain('its spent is ');
  });

  test.each<[string, KeyRecord, Held]>([
    ['is no money', key(SPENT_KEYS, text('1'), false), 'nan'],
    ['was no money', key(SPENT_KEYS, text('nan'), false), '1'],
    ['is of a wrong type', key(SPENT_KEYS, text('1'), false), true],
    ['was of a wrong type', key(SPENT_KEYS, dump(), false), '1'],
    ['was not removed', key(SPENT_KEYS, text('1'), text('2')), '3'],
    ['was not there', key(SPENT_KEYS, false, false), '3'],
  ])('refuses spending that %s', (_, spent, current) => {
    expect(merged([spent], [current])).toContain('its spent is ');
  });

  test('replaces the default budget, but none that this CLI has set since', () => {
    const removed = key(BUDGET_KEYS, text('500'), false);
    expect(merged([removed], ['10.0'])).toEqual(['500']);
    expect(merged([removed], ['10.0'], other)).toContain('its budget is $10.00 now');
    expect(merged([key(BUDGET_KEYS, false, false)], ['10.0'])).toContain('its budget is $10.00 now');
    expect(merged([key(BUDGET_KEYS, text('1'), text('2'))], ['10.0'])).toContain('its budget is $10.00 now');
  });

  test('merges nothing but money', () => {
    expect(merged([key(FROZEN_UNTIL_KEYS, text('1'), false)], ['2'])).toContain('its frozen_until is ');
  });
});

describe('what undoing would do', () => {
  const change = recorded([key(BUDGET_KEYS, text('1'), text('2')), key(SPENT_KEYS, false, text('ü'))]);
  const preview = (...held: Held[]): unknown =>
    undoChange(change, {now: NOW, force: false, merge: false}).preview(x, held, []);
  change.sessions.get(x)!.keys[1]!.after = text(Buffer.from('ü').toString('latin1'));

  test('is told with what is there now', () => {
    expect(preview('2', Buffer.from('ü').toString('latin1'))).toEqual({
      id: 'x',
      state: 'done',
      now: "budget $2.00, spent 'ü'",
      then: 'budget $1.00, spent none',
    });
    expect(preview('3', false)).toMatchObject({
      state: 'failed',
      now: 'budget $3.00, spent none',
      error: {code: 'CHANGED_SINCE'},
    });
    expect(preview('2', true)).toMatchObject({state: 'failed', now: 'budget $2.00, spent of a wrong Redis type'});
    expect(preview(false, false)).toMatchObject({state: 'failed', now: 'budget none, spent none'});
    expect(
      undoChange(recorded([key(IDENTICAL_COUNT_KEYS, text('1'), false)]), {
        now: NOW,
        force: false,
        merge: false,
      }).preview(x, ['2'], []),
    ).toEqual({id: 'x', state: 'unchanged', now: 'identical_count 2'});
  });
});

describe('changes in the journal', () => {
  interface Written {
    keys?: string;
    sessions?: unknown[];
    actor?: string;
    began?: number;
    undoes?: string;
    command?: string;
    state?: string;
  }

  async function write(
    at: number,
    change: string,
    {keys = 'budget', sessions = ['x', '1', '2'], ...more}: Written = {},
  ): Promise<void> {
    const {actor = 'me', began, undoes = '', command = 'test', state} = more;
    await server.client.xAdd('tokengate:journal', `${at}-*`, {
      ...{change, began: String(began ?? ''), command, actor, reason: '', version: '1', undoes, keys},
      sessions: JSON.stringify(sessions),
      ...(state !== undefined && {state}),
    });
  }
  const found = async (wanted: string[]): Promise<string[]> =>
    (await findChanges(redis, wanted)).map(({change}) => change);
  /** The last change, after those that were passed over. */
  const last = async (actor = 'me'): Promise<string[]> => {
    const {change, passed} = await findLast(redis, actor, NOW);
    return [...passed, change].map((one) => one.change);
  };

  test('are found by their IDs, the newest first', async () => {
    for (const [index, change] of ['a', 'b', 'c', 'd'].entries()) await write(1000 + index, change);
    expect(await found(['b'])).toEqual(['b']);
    expect(await found(['a', 'c', 'b', 'c'])).toEqual(['c', 'b', 'a']);
    await expect(found(['a', 'z'])).rejects.toMatchObject({
      code: 'CHANGE_NOT_FOUND',
      message: "The journal has no change 'z'.",
    });
  });

  test('are found with all of a batch, each session as it was before the first step and after the last', async () => {
    await write(1000, 'a', {began: 990, sessions: ['x', '1', '2', 'y', '5', '6']});
    await write(1001, 'other', {sessions: ['z', '1', '2']});
    await write(1002, 'a', {began: 990, keys: 'budget spent', sessions: ['x', '2', '3', '7', true]});
    await write(1003, 'a', {began: 990, keys: 'spent', sessions: ['x', '7', '8']});
    const [change] = await findChanges(redis, ['a']);
    expect(change).toMatchObject({change: 'a', isWhole: true, at: new Date(1003)});
    expect(change!.sessions).toEqual(
      new Map([
        [
          'x',
          {
            keys: [key(SPENT_KEYS, text('7'), text('8')), key(BUDGET_KEYS, text('1'), text('3'))],
            at: new Date(1003),
            isComplete: true,
          },
        ],
        ['y', {keys: [key(BUDGET_KEYS, text('5'), text('6'))], at: new Date(1000), isComplete: true}],
      ]),
    );
  });

  test('keep what a later step did not touch', async () => {
    await write(1000, 'a', {began: 990, keys: 'budget spent', sessions: ['x', '1', '2', '5', true]});
    await write(1001, 'a', {began: 990, keys: 'budget spent', sessions: ['x', '2', true, ['5', 1000], '6']});
    const [change] = await findChanges(redis, ['a']);
    expect(change!.sessions.get(x)!.keys).toEqual([
      key(BUDGET_KEYS, text('1'), text('2')),
      key(SPENT_KEYS, text('5', 1000), text('6')),
    ]);
  });

  test('are complete when each of their steps is', async () => {
    await write(1000, 'a', {began: 990, state: 'begun'});
    await write(1001, 'a', {began: 990, sessions: ['x', '2', '3']});
    await write(1002, 'b', {began: 990, sessions: ['x', '2', '3']});
    await write(1003, 'b', {began: 990, state: 'begun'});
    const changes = await findChanges(redis, ['a', 'b']);
    expect(changes.map(({sessions}) => sessions.get(x)!.isComplete)).toEqual([false, false]);
  });

  test('are the last of an actor that neither undoes nor is undone', async () => {
    await server.client.set('session:x:budget', '2');
    await write(1000, 'a');
    await write(1001, 'b');
    await write(1002, 'c', {actor: 'bob'});
    expect(await last()).toEqual(['b']);
    expect(await last('bob')).toEqual(['c']);
    await write(1003, 'u', {undoes: 'b'});
    expect(await last()).toEqual(['a']);
    await write(1004, 'redo', {undoes: 'u'});
    expect(await last()).toEqual(['b']);
    await write(1005, 'u2', {undoes: 'b'});
    await write(1006, 'v', {undoes: 'a', actor: 'bob'});
    await expect(last()).rejects.toMatchObject({
      code: 'CHANGE_NOT_FOUND',
      message: 'The journal has no change by me that is not undone.',
    });
  });

  test('are the last even when it was undone for some of its sessions', async () => {
    await server.client.mSet({'session:x:budget': '2', 'session:y:budget': '7'});
    await write(1000, 'a');
    await write(1001, 'b', {sessions: ['x', '1', '2', 'y', '1', '2']});
    await write(1002, 'u', {undoes: 'b'});
    expect(await last()).toEqual(['b']);
    await write(1003, 'v', {undoes: 'b', sessions: ['y', '2', '1']});
    expect(await last()).toEqual(['a']);
  });

  test('are the last of which something is left', async () => {
    await server.client.set('session:x:budget', '2');
    await write(1000, 'a');
    // A freeze that is over: nothing stands there, and nothing stood there before.
    await write(1001, 'over', {keys: 'frozen_until', sessions: ['x', false, [END, 1000]]});
    await write(1002, 'over', {keys: 'freeze_reason', sessions: ['x', false, ['r', 1000]], began: 1000});
    expect(await last()).toEqual(['over', 'a']);
    await server.client.set('anomaly:x:frozen_until', 'another');
    expect(await last()).toEqual(['over']);
  });

  test('are the last batch as a whole, past what came between', async () => {
    await write(1000, 'batch', {began: 1000});
    for (let at = 1001; at < 1300; at++) await write(at, 'other', {actor: 'bob', sessions: ['y', '1', '2']});
    await write(1300, 'batch', {began: 1000, sessions: ['z', '1', '2']});
    const {change} = await findLast(redis, 'me', NOW);
    expect([...change.sessions.keys()]).toEqual(['z', 'x']);
  });

  test('are looked for no further back than the oldest of them can be', async () => {
    for (let at = 1; at <= 450; at++) await write(at, 'old', {sessions: ['y', '1', '2']});
    await write(1000, 'batch', {began: 990});
    await write(1001, 'new');
    let reads = 0;
    const pipelineBytes: Redis['pipelineBytes'] = (commands) => {
      reads += commands.filter(([name]) => name === 'XREVRANGE').length;
      return redis.pipelineBytes(commands);
    };
    const counting: Redis = {...redis, pipelineBytes};
    await findChanges(counting, ['new']);
    expect(reads).toBe(2);
    await findChanges(counting, ['new', 'batch']);
    expect(reads).toBe(4);
    await findLast(counting, 'me', NOW);
    expect(reads).toBe(7);
  });

  test('are told with what changed the same sessions since, newest first', async () => {
    await write(999, 'before');
    await write(1000, 'a', {began: 990, sessions: ['x', '1', '2', 'y', '1', '2']});
    await write(1001, 'between', {command: 'set-budget'});
    await write(1002, 'a', {began: 990, sessions: ['x', '2', '3']});
    await write(1003, 'c', {command: 'add-budget', undoes: 'b'});
    await write(1004, 'd', {command: 'reset-session', sessions: ['y', '1', '2', 'z', '1', '2']});
    await write(1005, 'e', {command: 'freeze-session'});
    const [change] = await findChanges(redis, ['a']);
    expect(change!.later).toEqual(
      new Map([
        [
          'x',
          [
            {change: 'e', command: 'freeze-session', undoes: undefined},
            {change: 'c', command: 'add-budget', undoes: 'b'},
          ],
        ],
        ['y', [{change: 'd', command: 'reset-session', undoes: undefined}]],
      ]),
    );
  });

  test('are told apart: each with what came after it', async () => {
    await write(1000, 'a');
    await write(1001, 'other');
    await write(1002, 'b');
    const [b, a] = await findChanges(redis, ['a', 'b']);
    expect([a!.later.get(x)?.map(({change}) => change), b!.later.get(x)]).toEqual([['b', 'other'], undefined]);
  });

  test('are whole unless Redis has dropped a part of a batch', async () => {
    await write(999, 'old');
    await write(1000, 'batch', {began: 990});
    await write(1001, 'one');
    const areWhole = async (): Promise<boolean[]> =>
      (await findChanges(redis, ['batch', 'one'])).map(({isWhole}) => isWhole);
    expect(await areWhole()).toEqual([true, true]);
    await server.client.xTrim('tokengate:journal', 'MAXLEN', 2);
    expect(await areWhole()).toEqual([true, false]);
    expect((await findChanges(redis, ['one']))[0]?.isWhole).toBe(true);
  });

  test('are whole when there is an entry from before they began', async () => {
    await write(980, 'old');
    await write(985, 'older');
    await write(1000, 'batch', {began: 990});
    await server.client.xTrim('tokengate:journal', 'MAXLEN', 2);
    expect((await findChanges(redis, ['batch']))[0]?.isWhole).toBe(true);
  });
});
