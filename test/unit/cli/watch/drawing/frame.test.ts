import {describe, expect, test} from 'vitest';

import {widthOf} from '../../../../../src/cli/text/width.js';
import {toAnsi} from '../../../../../src/cli/watch/drawing/cells.js';
import {fit, render, type View} from '../../../../../src/cli/watch/drawing/frame.js';
import {press} from '../../../../../src/cli/watch/reduce.js';
import {openState, type State} from '../../../../../src/cli/watch/state.js';
import {NOT_FROZEN} from '../../../../../src/lib/gateway/freeze.js';
import {toSession} from '../../../../../src/lib/gateway/session.js';
import {toAmount} from '../../../../../src/lib/gateway/stored-amount.js';
import {makeGroups} from '../../../../../src/lib/sessions/groups.js';
import {parseStoredMoney} from '../../../../../src/lib/values/money.js';
import {rawId} from '../../../../../src/lib/values/session-id.js';
import {statusOf, type Watched} from '../../../../../src/lib/watch/row.js';

const AT = new Date('2026-11-22T10:00:00Z');
const VIEW: View = {
  server: {address: 'redis.example.com:6379', database: 0} as View['server'],
  interval: 2,
  color: undefined,
  limits: [],
  trouble: '',
};

/** By the first part of the ID. */
const byTeam = makeGroups({globs: [], depth: 1, separator: ':'});

function watched(id: string, rate: string, frozenFor?: string): Watched {
  const until = new Date(AT.getTime() + 3_600_000);
  const freeze = frozenFor === undefined ? NOT_FROZEN : {...NOT_FROZEN, isFrozen: true, until, reason: frozenFor};
  const session = toSession(rawId(id), {budget: toAmount('20'), spent: toAmount('5')}, freeze);
  const facts = {status: statusOf(session), rate: parseStoredMoney(rate)!, requests: 3};
  return {id: rawId(id), session, ...facts, renewsAt: null, renewsIn: null};
}

const SESSIONS = [
  watched('production:customer-4711:assistant:background-indexing-worker', '3', 'Loop detected: 3 identical requests'),
  ...Array.from({length: 29}, (_, index) => watched(`team:${String(index).padStart(2, '0')}`, '0.5')),
];

/** The lines of the screen. */
function draw(columns: number, rows: number, typed = '', view: Partial<View> = {}, sessions = SESSIONS): string[] {
  let state: State = openState({sort: 'rate', reverse: false, groupOf: byTeam, isFolded: false}, {at: AT, sessions});
  for (const [turn, text] of Array.from(typed).entries()) {
    state = press(fit(state, {columns, rows}), text === '\r' ? {name: 'enter', turn} : {text, turn}).state;
  }
  const size = {columns, rows};
  const {lines, panel, keys} = render(fit(state, size), {...VIEW, ...view}, size);
  return [...lines, ...(panel?.lines ?? []), keys].map((line) => toAnsi(line, 'none'));
}

describe('at any width', () => {
  test.each([20, 21, 30, 40, 50, 59, 60, 80, 100, 119, 120, 140, 200])('%i columns hold every line', (columns) => {
    for (const rows of [4, 7, 8, 13, 14, 24]) {
      const lines = draw(columns, rows);
      expect(lines).toHaveLength(rows);
      expect(Math.max(...lines.map(widthOf))).toBeLessThanOrEqual(columns);
    }
  });

  test.each([
    [20, ' tokengate redis.…'],
    [60, ' tokengate redis.example.com:6379 db 0'],
    [80, ' tokengate redis.example.com:6379 db 0  +2026-11-22 10:00:00 UTC$'],
  ])('whose data it is, before when it was read, on %i', (columns, line) => {
    expect(draw(columns, 24)[0]).toMatch(new RegExp(`^${line}`));
  });

  test.each([20, 30, 40, 59, 60, 80, 120])('the status is there on %i', (columns) => {
    const row = draw(columns, 24).find((line) => line.includes('prod'));
    expect(row).toMatch(columns < 120 ? /^>frz 1h/ : /^>frozen/);
  });

  test.each([120, 130, 140, 160])('FREEZE and SESSION share the space on %i', (columns) => {
    const row = draw(columns, 24).find((line) => line.startsWith('>'))!;
    expect(row).toMatch(/^>frozen +product.*…?.*worker /);
    expect(row).toMatch(/1h00m {2}Loop det/);
  });

  test('where there is no column for a freeze its reason stands behind the ID', () => {
    const frozen = [watched('short', '1', 'Loop detected'), watched('team:1', '0')];
    expect(draw(80, 24, '', {}, frozen).find((line) => line.startsWith('>'))).toMatch(
      /^>frz 1h short {2}Loop detected /,
    );
  });

  test('an ID that is too long is cut in its middle', () => {
    expect(draw(60, 24).find((line) => line.startsWith('>'))).toMatch(/^>frz 1h prod\S*…\S*worker /);
  });
});

describe('a filter in force is always visible', () => {
  test.each([
    [20, 4],
    [40, 7],
    [40, 24],
    [60, 8],
    [80, 24],
    [160, 40],
  ])('on %i by %i, with and without trouble', (columns, rows) => {
    for (const trouble of ['', 'Old by 3 s; next try in 1 s. Cannot connect to Redis.']) {
      const screen = draw(columns, rows, '/team\r', {trouble}).join('\n');
      expect(screen).toContain('filter team');
      if (trouble !== '') expect(screen).toContain('STALE');
    }
  });

  test('as are the limits of the command line', () => {
    expect(draw(80, 24, '/team\r', {limits: ['match t*']})[1]).toMatch(/29 of 30 .* match t\*, filter team$/);
  });
});

test('the place of the selected row, and how many are marked', () => {
  expect(draw(80, 24).at(-1)).toMatch(/ 1\/30$/);
  expect(draw(80, 24, 'jjm').at(-1)).toMatch(/ 1 marked {2}3\/30$/);
  expect(draw(80, 24, 'jjm').find((line) => line.startsWith('*'))).toContain('team:01');
  expect(draw(20, 6, 'G').at(-1)).toMatch(/ 30\/30$/);
  expect(draw(80, 24, '/nothing\r').at(-1)).not.toMatch(/\d\/\d/);
});

test('the most needed keys are there where not all have room', () => {
  for (const [columns, keys] of [
    [120, ['f freeze', 'z undo', 'd details', 'm mark', 's sort', '? help', 'q quit']],
    [80, ['f freeze', 'u unfreeze', '+ add', 'r reset', 'z undo', '/ filter', '? help', 'q quit']],
    [40, ['? help', 'q quit']],
  ] as const) {
    for (const key of keys) expect(draw(columns, 24).at(-1)).toContain(key);
  }
});

test('a frozen session has no "empty in"', () => {
  const sessions = [watched('frozen', '3', 'Loop'), watched('open', '3')];
  const [frozen, open] = ['frozen  Loop', 'open'].map((id) =>
    draw(100, 24, '', {}, sessions).find((line) => line.includes(` ${id} `))!,
  );
  expect(frozen).toMatch(/ 3\.000 +- +3$/);
  expect(open).toMatch(/ 3\.000 +5m00s +3$/);
  expect(draw(100, 24, 'G', {}, sessions).join('\n')).toContain('empty in 5m00s');
  expect(draw(100, 24, 'g', {}, sessions).join('\n')).not.toContain('empty in');
});

test('rows stay on the screen where they are when a dialog opens, unless it would cover the selected one', () => {
  const before = draw(80, 24).slice(4, 12);
  expect(draw(80, 24, 'f').slice(4, 12)).toEqual(before);
  expect(draw(80, 24, 'Gf').some((line) => line.startsWith('>'))).toBe(true);
});

describe('the page of a session', () => {
  const page = (columns: number, rows: number, top = 0): string[] => {
    const [one] = SESSIONS;
    const command = `tokengate add-budget --redis-url rediss://redis.example.com 'an id with spaces' 5`;
    const lines = [
      {kind: 'title' as const, text: 'Commands'},
      {kind: 'command' as const, text: command},
      {kind: 'text' as const, text: 'x\x1b[2J'},
      ...Array.from({length: 40}, (_, index) => ({kind: 'text' as const, text: `line ${index}`})),
    ];
    const size = {columns, rows};
    const state = openState(
      {sort: 'rate', reverse: false, groupOf: byTeam, isFolded: false},
      {at: AT, sessions: SESSIONS},
    );
    const fitted = fit({...state, dialog: {kind: 'page', one: one!, lines, top}}, size);
    const {lines: drawn, keys} = render(fitted, VIEW, size);
    return [...drawn, keys].map((line) => toAnsi(line, 'none'));
  };

  test('fills the screen, with a command as one that a shell reads', () => {
    const lines = page(60, 24);
    expect(lines).toHaveLength(24);
    const at = lines.findIndex((line) => line.startsWith('  tokengate add-budget'));
    expect(lines[at]).toMatch(/ \\$/);
    const words = lines.slice(at, at + 2).map((line) => line.trim());
    expect(words.join('\n').replaceAll(' \\\n', ' ')).toBe(
      `tokengate add-budget --redis-url rediss://redis.example.com 'an id with spaces' 5`,
    );
    expect(lines.join('\n')).toContain(String.raw`x\x1b[2J`);
  });

  test('is scrolled no further than to its end', () => {
    expect(page(80, 24, 1000).at(-2)).toBe('  line 39');
    expect(page(80, 4, 1000).at(-2)).toBe('  line 39');
  });
});

test('the head names the context and the store, in the color of the context', () => {
  const size = {columns: 120, rows: 24};
  const state = fit(
    openState({sort: 'rate', reverse: false, groupOf: byTeam, isFolded: false}, {at: AT, sessions: SESSIONS}),
    size,
  );
  const headOf = (server: Partial<View['server']>): string => {
    const view: View = {...VIEW, color: 'red', server: {...VIEW.server, ...server}};
    return toAnsi(render(state, view, size).lines[0] ?? [], 'colour');
  };
  expect(headOf({name: 'prod'})).toContain('\x1b[1;31mprod (redis.example.com:6379 db 0)\x1b[0m');
  expect(headOf({store: 'prod'})).toContain('prod (redis.example.com:6379 db 0)');
  expect(headOf({name: 'prod', store: 'live'})).toContain('prod (store live, redis.example.com:6379 db 0)');
});

describe('groups', () => {
  test.each([20, 40, 60, 80, 120, 160])('%i columns hold every line', (columns) => {
    for (const rows of [4, 8, 14, 24])
      for (const line of draw(columns, rows, 't')) expect(widthOf(line)).toBeLessThanOrEqual(columns);
  });

  test('sums, how many are frozen, and what they are', () => {
    const screen = draw(80, 24, 't');
    expect(screen[1]).toMatch(/^ Sessions 30 {2}frozen 1 .* 2 groups$/);
    expect(screen[3]).toMatch(/^ FROZEN {2}GROUP +BUDGET +SPENT +LEFT USED +\$\/MIN▼ EMPTY +REQ$/);
    expect(screen.slice(4, 6).map((line) => line.replaceAll(/[━╸─]/g, ''))).toEqual([
      expect.stringMatching(/^>0 of 29 team {2}29 ok +580\.00 +145\.00 +435\.00 +25% +14\.500 30m00s +87$/),
      expect.stringMatching(/^ 1 of 1 +production +20\.00 +5\.00 +15\.00 +25% +3\.000 +5m00s +3$/),
    ]);
    expect(screen.slice(-4, -1)).toEqual([
      expect.stringMatching(/^ team +/),
      expect.stringMatching(/^ spent \$145\.0000 of \$580\.0000, left \$435\.0000, \$14\.5000\/min, empty in 30m00s/),
      expect.stringMatching(/^ 29 sessions: 0 frozen, 29 ok\./),
    ]);
    expect(screen.at(-1)).toMatch(/Enter open.* 1\/2$/);
  });

  test('one that is open is named above its sessions', () => {
    const screen = draw(80, 24, 't\r');
    expect(screen[1]).toMatch(/^ Sessions 29 of 30 .* group team$/);
    expect(screen[3]).toMatch(/^ STATUS +SESSION/);
    expect(screen.join('\n')).not.toContain('production');
    expect(draw(80, 24, 't\r/team:1\r')[1]).toMatch(/^ Sessions 10 of 30 .* group team, filter team:1$/);
  });

  test('one of which all sessions are marked has a mark', () => {
    expect(draw(80, 24, 'tm')[4]).toMatch(/^\*0 of 29 team/);
    expect(draw(80, 24, 'tm').at(-1)).toMatch(/29 marked {2}1\/2$/);
    expect(draw(80, 24, 'jmt')[4]).toMatch(/^>0 of 29 team/);
  });
});
