import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {stripVTControlCharacters} from 'node:util';

import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import {openTerminal} from '../../support/program/pty.js';
import {runBinary} from '../../support/program/run.js';
import {openScreen, type Screen} from '../../support/program/screen.js';
import {loadSessions} from '../../support/program/shell.js';
import {spendSteadily} from '../../support/redis/gateway.js';
import {startRedis, type TestRedis} from '../../support/redis/redis-server.js';

const ENTER = '\r';
const ESCAPE = '\x1b';
const [DOWN, END] = ['\x1b[B', '\x1b[F'];
const CTRL = {a: '\x01', c: '\x03', k: '\x0b', u: '\x15', w: '\x17'};
const [F1, F10] = ['\x1bOP', '\x1b[21~'];
const [PASTE, PASTED] = ['\x1b[200~', '\x1b[201~'];
const LIVE = ['watch-sessions', '--interval', '1s'];

let redis: TestRedis;
let screen: Screen | undefined;
let stopSpending: (() => Promise<void>) | undefined;
beforeAll(async () => {
  redis = await startRedis();
});
beforeEach(async () => {
  await redis.client.flushDb();
  await loadSessions(redis, {
    calm: ['20', '5'],
    hungry: ['100', '90'],
    idle: ['50'],
    over: ['2', '2.5'],
    'team:alpha': ['10.0', '0.02643664999999999982'],
  });
});
afterEach(async () => {
  screen?.kill();
  await stopSpending?.();
  screen = stopSpending = undefined;
});
afterAll(() => redis.stop());

function open(argv = LIVE, options: Partial<Parameters<typeof openScreen>[1]> = {}): Screen {
  return (screen = openScreen(argv, {...redis, ...options}));
}

/** The words of a session's row. */
function row(id: string): string[] {
  return (screen?.line(` ${id} `) ?? '').replace(/^>/, ' ').trim().split(/ +/);
}

/** The IDs in the order of their rows. */
function order(): string[] {
  return (screen?.lines() ?? []).flatMap(
    (line) => /^[> ](?:ok|low|empty|invalid|frz \S+|frozen) +(\S+) /.exec(line)?.[1] ?? [],
  );
}

describe('what is shown', () => {
  test('states, amounts, rates and what follows from them, while sessions spend', async () => {
    stopSpending = spendSteadily(redis, {hungry: 6, calm: 1.2});
    const live = open();
    await live.shows('hungry');
    // Of one reading nothing follows yet.
    expect(row('hungry')).toContain('…');
    await live.until(() => {
      const [rate] = row('hungry').slice(-3);
      return Math.abs(Number(rate) / 6 - 1) < 0.1;
    }, 'the rate of hungry was 6');
    await live.until(() => Math.abs(Number(row('calm').at(-3)) / 1.2 - 1) < 0.1, 'the rate of calm was 1.2');
    expect(order()).toEqual(['hungry', 'calm', 'idle', 'over', 'team:alpha']);
    const [status, , budget, spent, left] = row('hungry');
    expect({status, budget}).toEqual({status: 'low', budget: '100.00'});
    expect(Number(spent) + Number(left)).toBeCloseTo(100, 1);
    const [minutes] = /^(\d+)m\d\ds$/.exec(row('hungry').at(-2) ?? '')?.slice(1) ?? [];
    expect(Number(minutes) / (Number(left) / 6)).toBeCloseTo(1, 0);
    expect(Number(row('hungry').at(-1))).toBeGreaterThan(10);
    expect(row('over').slice(0, 1)).toEqual(['empty']);
    expect(row('over').slice(-3)).toEqual(['-', 'now', '0']);
    expect(live.lines()[1]).toMatch(/^ Sessions 5 {2}frozen 0 {2}invalid 0 {2}empty 1 {2}low 1 {2}ok 3$/);
    // The rates above may each be a little off, and their sum then more.
    const totals = /^ Budget \$182\.0000 {2}Spent \$9.* {2}Left \$.* {2}\$\/min 7\.\d{4} {2}Empty in \d+m/;
    await live.until(() => totals.test(live.lines()[2] ?? ''), 'the totals were those of both rates');
  });

  test('a freeze that somebody else sets: the time left, and who it is and why below', async () => {
    const live = open();
    await live.shows('idle');
    const until = new Date(Date.now() + 3_000_000).toISOString().slice(0, -1);
    await redis.client.set('anomaly:idle:freeze_reason', 'Loop detected', {EX: 3000});
    await redis.client.set('anomaly:idle:frozen_until', until, {EX: 3000});
    await live.until(() => live.line(' idle ').includes('frz 49m'), 'idle was frozen');
    live.type('/idle' + ENTER);
    await live.shows('): Loop detected');
    live.resize(160, 30);
    await live.until(
      () => /^>frozen {2}idle .* 49m\d\ds {2}Loop detected$/.test(live.line('frozen  idle')),
      'a column',
    );
  });

  test('sessions come and go', async () => {
    const live = open();
    await live.shows('idle');
    await redis.client.del(['session:idle:budget']);
    await live.until((text) => !text.includes('idle'), 'idle was gone');
    await redis.client.set('session:idle:budget', '1');
    await live.shows('idle');
  });

  test('text that could act on the terminal is escaped, and wide or combining characters keep the columns', async () => {
    const ids = ['x\x1b]0;owned\x07\x1b[2J\u202ey\n', '日本語', 'e\u0301te\u0301'];
    for (const id of ids) await redis.client.set(`session:${id}:budget`, '7.77');
    const live = open();
    await live.shows(String.raw`x\x1b]0;owned\x07\x1b[2J\u202ey\n`);
    await live.until((text) => text.match(/7\.77.* 7\.77 /g)?.length === 3, 'all three were there');
    for (const harm of ['\x1b]0', '\u202e', '\x07']) expect(live.output).not.toContain(harm);
    const ends = live
      .lines()
      .filter((line) => line.includes('7.77'))
      .map((line) => columnsOf(line.slice(0, line.indexOf('7.77'))));
    expect(ends).toHaveLength(3);
    expect(new Set(ends).size).toBe(1);
  });

  test('values that are not money, and the reason', async () => {
    await redis.client.set('session:idle:budget', 'nan');
    const live = open([...LIVE, '--sort', 'status'], {columns: 120});
    await live.shows("'nan', which is not an amount: the gateway answers its requests with HTTP 503.");
    expect(order()[0]).toBe('idle');
    expect(row('idle').slice(0, 3)).toEqual(['invalid', 'idle', 'invalid']);
  });

  test.each([
    ['160 by 50', 160, 50, ['BUDGET', 'REQ/MIN', 'FREEZE', 'q quit']],
    ['80 by 24', 80, 24, ['STATUS', 'BUDGET', 'SPENT', 'LEFT', 'USED', '$/MIN', 'EMPTY', 'REQ', 'q quit']],
    ['40 by 10', 40, 10, ['SESSION', 'LEFT']],
    ['21 by 4', 21, 4, ['SESSION']],
    ['19 by 30', 19, 30, ['Too small']],
    ['100 by 3', 100, 3, ['Too small']],
  ])('on %s characters, and after a change to that', async (_, columns, rows, texts) => {
    const live = open(LIVE, {columns, rows});
    for (const text of texts) await live.shows(text);
    expect(Math.max(...live.lines().map(columnsOf))).toBeLessThanOrEqual(columns);
    live.resize(100, 30);
    await live.until(() => live.lines()[29]?.includes('q quit') === true && order().length === 5, 'it was large');
    live.resize(columns, rows);
    for (const text of texts) await live.shows(text);
  });

  test('no colours with NO_COLOR, and the selection is seen without', async () => {
    const live = open(LIVE, {env: {NO_COLOR: '1'}});
    await live.shows('team:alpha');
    // eslint-disable-next-line no-control-regex -- those are the codes of colours
    expect(live.output).not.toMatch(/\x1b\[([\d;]*;)?(3|4|9|10)\dm/);
    expect(live.line('calm')).toMatch(/^>/);
  });
});

describe('keys', () => {
  test('the selection follows the session when rows move', async () => {
    const live = open([...LIVE, '--sort', 'spent']);
    await live.shows('hungry');
    live.type('j');
    await live.until(() => live.line(' calm ').startsWith('>'), 'calm was selected');
    await redis.client.set('session:calm:spent', '95');
    await live.until(() => order()[0] === 'calm', 'calm was first');
    expect(live.line(' calm ')).toMatch(/^>/);
    live.type(END);
    await live.until(() => live.line(' idle ').startsWith('>'), 'the last was selected');
    live.type('g' + DOWN);
    await live.until(() => live.line(' hungry ').startsWith('>'), 'the second was selected');
  });

  test('s sorts by the next column, i inverts', async () => {
    const live = open();
    await live.shows('$/MIN▼');
    live.type('s');
    await live.shows('EMPTY▼');
    live.type('Si');
    await live.shows('$/MIN▲');
    live.type('SSSS');
    await live.shows('BUDGET▼');
    expect(order()).toEqual(['hungry', 'idle', 'calm', 'team:alpha', 'over']);
    live.type('i');
    await live.shows('BUDGET▲');
    expect(order()).toEqual(['over', 'team:alpha', 'calm', 'idle', 'hungry']);
  });

  test('/ takes a part of an ID, a glob or an expression, and says what is wrong', async () => {
    const live = open();
    await live.shows('hungry');
    live.type('/alph');
    await live.until(() => order().join() === 'team:alpha', 'one was left while it was typed');
    live.type(ENTER);
    await live.until(() => /^ Sessions 1 of 5 .* filter alph$/.test(live.lines()[1] ?? ''), 'the filter was there');
    live.type('/*r*y' + ENTER);
    await live.until(() => order().join() === 'hungry', 'another was left');
    live.type('/spend > 3' + ENTER);
    await live.shows("Invalid filter 'spend > 3': there is no field 'spend'.");
    live.type(CTRL.u + 'used > 95' + ENTER);
    await live.until(() => order().join() === 'over', 'the third was left');
    live.type(ESCAPE);
    await live.until(() => order().length === 5, 'all were back');
  });

  test('e explains why the gateway refuses the session', async () => {
    const live = open();
    await live.shows('over');
    live.type('/over' + ENTER);
    await live.until(() => order().join() === 'over', 'it was selected');
    live.type('e');
    await live.until((text) => /Budget: +refuses with HTTP 429/.test(text), 'the rule that refuses was there');
    live.type(ESCAPE);
    await live.until((text) => !text.includes('HTTP 429,'), 'it was gone');
  });

  test.each([
    ['?', '?'],
    ['F1', F1],
  ])('%s helps, and F10 leaves', async (_, help) => {
    const live = open();
    await live.shows('hungry');
    live.type(help);
    await live.shows('the selection stays on it when rows move');
    live.type('x');
    await live.until((text) => !text.includes('the selection stays'), 'the help was gone');
    live.type(F10);
    expect((await live.ended).code).toBe(0);
  });

  test.each([
    ['Enter', ENTER],
    ['d', 'd'],
  ])('%s shows all about a session on one page, with commands to copy', async (_, key) => {
    await redis.client.lPush(
      'anomaly:calm:history',
      JSON.stringify({timestamp: '2026-11-22T10:00:00', model: 'gpt-4o', cost: 0}),
    );
    const live = open([...LIVE, '--sort', 'id'], {rows: 40});
    await live.shows('hungry');
    live.type('+');
    await live.shows('US dollars to add');
    live.type('1' + ENTER);
    await live.shows('Add $1.00 to');
    live.type('y');
    await live.shows('✓ Budget of');
    live.type(key);
    await live.shows('Last requests');
    const screen = live.lines().join('\n');
    expect(screen).toMatch(/^ calm .*\n spent \$5\.0000 of \$21\.0000/);
    expect(screen).toMatch(/Budget: +passes/);
    expect(screen).toMatch(/2026-11-22 10:00:00 UTC {2}gpt-4o {2}cost not recorded/);
    expect(screen).toMatch(/watch-sessions {2}budget \$20\.00 → \$21\.00/);
    expect(screen).toMatch(/^ {2}tokengate freeze-session --for 2h calm$/m);
    expect(screen).toMatch(/^ {2}tokengate list-changes --session calm$/m);
    live.type(ESCAPE);
    await live.shows('SESSION▼');
  });
});

describe('changes', () => {
  /** Opens the view with one session selected. */
  async function select(id: string): Promise<Screen> {
    const live = open();
    await live.shows('hungry');
    live.type(`/${id}${ENTER}`);
    await live.until(() => order().join() === id, `${id} was selected`);
    return live;
  }
  async function answer(live: Screen, question: string, key: string): Promise<void> {
    await live.shows(question);
    live.type(key);
    await live.until((text) => !text.includes(question), 'the question was answered');
  }

  test('f freezes for the time and the reason that are typed, u unfreezes', async () => {
    const live = await select('idle');
    live.type('f');
    await live.shows('> 1h');
    live.type('2h1h' + ENTER);
    await live.shows("Invalid length of time '2h1h'.");
    live.type(CTRL.w + '2h30m' + CTRL.a + '\x1b[3~' + '3' + END + '\x7f\x7f\x7f' + ENTER);
    await live.shows('> Manual freeze');
    live.type('\x1b[D' + CTRL.k + 'x' + CTRL.u + PASTE + 'Manual\rfreeze' + PASTED + ' of idl日' + '\x7fe' + ENTER);
    await answer(live, "Freeze 'idle' for 3h (Manual freeze of idle)?", 'y');
    await live.shows("✓ Session 'idle' frozen until");
    await live.until(() => live.line(' idle ').startsWith('>frz'), 'the row said so');
    expect(await redis.client.get('anomaly:idle:freeze_reason')).toBe('Manual freeze of idle');
    expect(await redis.client.ttl('anomaly:idle:frozen_until')).toBeGreaterThan(10_700);
    live.type('u');
    await answer(live, "Unfreeze 'idle'", 'y');
    await live.shows("✓ Session 'idle' unfrozen");
    expect(await redis.client.exists('anomaly:idle:frozen_until')).toBe(0);
  });

  test('+ adds to the budget, exactly', async () => {
    const live = await select('team:alpha');
    live.type('+');
    await live.shows('US dollars to add');
    live.type('0.1' + ENTER);
    await answer(live, "Add $0.10 to the budget of 'team:alpha' ($10.00, then $10.10)?", 'y');
    await live.shows("✓ Budget of 'team:alpha': $10.10 (it was $10.00)");
    expect(await redis.client.get('session:team:alpha:budget')).toBe('10.1');
  });

  test('r resets both, or the spending alone, and every change is in the journal', async () => {
    const live = await select('hungry');
    live.type('r');
    await answer(live, "Reset 'hungry'", 'k');
    await live.shows("✓ Session 'hungry' reset, removed: spent $90.00");
    expect(await redis.client.mGet(['session:hungry:budget', 'session:hungry:spent'])).toEqual(['100', null]);
    live.type('r');
    await answer(live, "Reset 'hungry'", 'y');
    await live.shows('removed: budget $100.00');
    expect(await redis.client.exists('session:hungry:budget')).toBe(0);
    const entries = await redis.client.xRange('tokengate:journal', '-', '+');
    expect(entries?.map(({message}) => message['command'])).toEqual(['watch-sessions', 'watch-sessions']);
  });

  test.each([
    ['Enter', ENTER],
    ['Escape', ESCAPE],
    ['n', 'n'],
    ['any other key', 'x'],
  ])('%s at the question is a no', async (_, key) => {
    const live = await select('hungry');
    live.type('r');
    await answer(live, "Reset 'hungry'", key);
    await live.shows('Cancelled: nothing was changed.');
    expect(await redis.client.exists(['session:hungry:budget', 'session:hungry:spent'])).toBe(2);
  });

  test('an answer that is pasted together with the key changes nothing', async () => {
    const live = await select('hungry');
    live.type('ryyy');
    await live.shows("Reset 'hungry'");
    live.type(PASTE + 'y\ry' + PASTED + 'j');
    await live.shows('Cancelled: nothing was changed.');
    expect(live.lines().join('\n')).not.toContain('✓');
    expect(await redis.client.exists(['session:hungry:budget'])).toBe(1);
    live.type('j');
    await live.until((text) => !text.includes('Cancelled'), 'it was gone at the next key');
  });

  test('marked sessions share one change, which z undoes for all of them', async () => {
    const live = open([...LIVE, '--sort', 'id']);
    await live.shows('hungry');
    live.type('m' + DOWN + 'm');
    await live.shows('2 marked  2/5');
    live.type('r');
    await answer(live, "Reset 2 sessions ('calm', 'hungry')", 'y');
    await live.shows('✓ 2 of 2 sessions reset');
    await live.until(() => order().join() === 'idle,over,team:alpha', 'they were gone');
    await redis.client.set('session:calm:spent', '1');
    live.type('z');
    await answer(live, ', of 2 sessions on ', 'm');
    await live.shows('✓ Undone');
    expect(await redis.client.mGet(['session:calm:spent', 'session:hungry:spent', 'session:calm:budget'])).toEqual([
      '6',
      '90',
      '20',
    ]);
    live.type('z');
    await live.shows('There is nothing to undo');
  });

  test('a group is frozen in one change, after a question that says of how many sessions', async () => {
    await redis.client.mSet({'session:team:beta:budget': '10', 'session:team:gamma:budget': '5'});
    const live = open([...LIVE, '--sort', 'budget']);
    await live.shows('team:gamma');
    live.type('t');
    await live.shows('5 groups');
    await live.shows('0 of 3 team');
    live.type('jj' + ENTER);
    await live.shows('group team');
    await live.shows('1/3');
    await live.until(() => order().join() === 'team:alpha,team:beta,team:gamma', 'it was open');
    live.type(ESCAPE);
    await live.shows('>0 of 3 team');
    live.type('f' + ENTER + ENTER);
    await live.shows("Freeze: 3 sessions, all of group 'team'");
    await answer(live, "Freeze 3 sessions ('team:alpha', 'team:beta', 'team:gamma')", 'y');
    await live.shows('✓ 3 of 3 sessions frozen');
    await live.shows('>3 of 3 team');
    expect(await redis.client.keys('anomaly:*:frozen_until')).toHaveLength(3);
    live.type('z');
    await answer(live, ', of 3 sessions on ', 'y');
    await live.shows('>0 of 3 team');
  });

  test('where not all could be done it says of which, and those stay marked', async () => {
    await redis.client.rPush('session:idle:spent', 'no text');
    const live = open([...LIVE, '--sort', 'id']);
    await live.shows('hungry');
    live.type('M');
    await live.shows('5 marked');
    live.type('r');
    await answer(live, "Reset 5 sessions ('calm', 'hungry'", 'y');
    await live.shows('Not all was done');
    await live.shows('✓ 4 of 5 sessions reset, 1 failed');
    await live.shows("Session 'idle': its spent is of a wrong Redis type. Nothing was removed.");
    live.type(ESCAPE);
    await live.until((text) => !text.includes('Not all was done'), 'the page was closed');
    await live.shows('1 marked  1/1');
    live.type('z');
    await answer(live, ', of 4 sessions on ', 'y');
    await live.shows('4 of 4 sessions');
    expect(await redis.client.get('session:hungry:spent')).toBe('90');
  });

  test('an undoing that would overwrite what came after is refused, and says why', async () => {
    const live = await select('calm');
    live.type('+');
    await live.shows('US dollars to add');
    live.type('1' + ENTER);
    await answer(live, 'Add $1.00', 'y');
    await live.shows('✓ Budget of');
    await redis.client.set('session:calm:budget', '7');
    live.type('z');
    await answer(live, ', of 1 session on ', 'y');
    await live.shows('its budget is $7.00 now, not $21.00 as that change left it');
    expect(await redis.client.get('session:calm:budget')).toBe('7');
  });

  test('an incident: find what burns, freeze it for two hours, see it hold, undo it, in few keys', async () => {
    // Its row is neither the first by ID, nor by anything but its rate.
    await redis.client.set('session:burner:budget', '50');
    stopSpending = spendSteadily(redis, {burner: 30, calm: 0.5, hungry: 3});
    const live = open(['watch'], {columns: 80, rows: 24});
    let keys = 0;
    const press = (...pressed: string[]): void => {
      keys += pressed.length;
      for (const key of pressed) live.type(key);
    };
    await live.shows('burner');
    const began = performance.now();
    await live.until(() => Number(row('burner').at(-3)) > 20 && order()[0] === 'burner', 'it was on top');
    expect(performance.now() - began).toBeLessThan(15_000);
    press('f');
    await live.shows('Freeze: burner');
    const seen = order();
    press('2', 'h', ENTER);
    await live.shows('> Manual freeze');
    live.type('runaway loop');
    press(ENTER);
    await live.shows("Freeze 'burner' for 2h (runaway loop)?");
    expect(order()).toEqual(seen);
    press('y');
    await live.shows("✓ Session 'burner' frozen until");
    await live.until(() => live.line(' burner ').startsWith('>frz 2h burner '), 'it held');
    expect(await redis.client.get('anomaly:burner:freeze_reason')).toBe('runaway loop');
    press('z');
    await live.shows("Undo: freeze 'burner'");
    await live.shows('of 1 session on');
    await live.shows("('burner')?");
    press('y');
    await live.shows('✓ Undone');
    await live.until(() => /^>ok +burner /.test(live.line(' burner ')), 'the row said so');
    expect(await redis.client.exists('anomaly:burner:frozen_until')).toBe(0);
    press('q');
    expect((await live.ended).code).toBe(0);
    expect(keys).toBeLessThanOrEqual(12);
  });

  test('a refusal is shown, and the view goes on', async () => {
    const live = await select('over');
    live.type('+');
    await live.shows('US dollars to add');
    live.type('-5' + ENTER);
    await answer(live, "Take $5.00 from the budget of 'over'", 'y');
    await live.shows("The budget of session 'over' is $2.00: it would fall below zero.");
    expect(await redis.client.get('session:over:budget')).toBe('2');
  });
});

describe('when it ends', () => {
  const restored = {modes: 'echo icanon', isAlternate: false, hasCursor: true, wraps: true};
  test.each<[string, number, (live: Screen) => void]>([
    [
      'q',
      0,
      (live) => {
        live.type('q');
      },
    ],
    [
      'Ctrl-C',
      130,
      (live) => {
        live.type(CTRL.c);
      },
    ],
    [
      'SIGINT',
      130,
      (live) => {
        live.signal('SIGINT');
      },
    ],
    [
      'SIGTERM',
      143,
      (live) => {
        live.signal('SIGTERM');
      },
    ],
    [
      'SIGHUP',
      129,
      (live) => {
        live.signal('SIGHUP');
      },
    ],
  ])('%s gives the terminal back as it was', async (_, code, leave) => {
    const live = open();
    await live.shows('hungry');
    expect(live.isAlternate).toBe(true);
    leave(live);
    expect(await live.ended).toEqual({code, ...restored});
    expect(live.lines().join('\n')).not.toContain('hungry');
  });

  test('a protected store is asked for its name once, before the first change', async () => {
    await redis.client.set('tokengate:store', 'prod');
    const live = open();
    await live.shows('tokengate prod (');
    live.type('r');
    await live.shows('remove both');
    live.type('y');
    await live.shows('To confirm, type prod');
    live.type('stagin' + ENTER);
    await live.shows("'stagin' is not the name");
    live.type('r');
    await live.shows('remove both');
    live.type('y');
    await live.shows('To confirm, type prod');
    live.type('prod' + ENTER);
    await live.shows('reset, removed');
    live.type('z');
    await live.shows('y yes');
    live.type('y');
    await live.shows('Undone watch-sessions');
  });

  test('a wrong --confirm is refused before the screen is shown', async () => {
    await redis.client.set('tokengate:store', 'prod');
    const live = open([...LIVE, '--confirm', 'stagin']);
    expect(await live.ended).toMatchObject({code: 1, isAlternate: false, modes: 'echo icanon'});
  });

  test('Ctrl-C leaves a question and changes nothing', async () => {
    const live = open();
    await live.shows('hungry');
    live.type('r');
    await live.shows('Reset');
    live.type(CTRL.c);
    expect(await live.ended).toEqual({code: 130, ...restored});
    expect(await redis.client.dbSize()).toBe(9);
  });
});

test('Redis goes away and comes back: the last data stays, and is said to be old', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tokengate-watch-'));
  const own = await startRedis({folder});
  await loadSessions(own, {a: ['20', '5']});
  const live = (screen = openScreen(LIVE, {url: own.url}));
  await live.shows(' a ');
  await own.stop();
  await live.shows('STALE');
  await live.until((text) => /Old by [1-9]\d* s; next try in \d+ s\. /.test(text), 'it said how old');
  expect(row('a').slice(0, 3)).toEqual(['ok', 'a', '20.00']);
  live.type('r');
  await live.shows("Reset 'a'");
  live.type(ESCAPE);
  const again = await startRedis({folder});
  try {
    await loadSessions(again, {a: ['21', '5'], b: ['3']});
    await live.until((text) => text.includes('● live') && text.includes(' b '), 'it was live again');
    expect(row('a').slice(0, 3)).toEqual(['ok', 'a', '21.00']);
    live.type('q');
    expect((await live.ended).code).toBe(0);
  } finally {
    await again.stop();
    await rm(folder, {recursive: true});
  }
});

test('--once on a terminal that does not know its size is as wide as it needs', async () => {
  const {code, screen: shown} = await openTerminal(['watch-sessions', '--once'], {
    url: redis.url,
    columns: 0,
    env: {NO_COLOR: '1'},
  }).ended;
  expect(code).toBe(0);
  expect(stripVTControlCharacters(shown)).toMatch(/^ tokengate .*\r\n Sessions 5 .*\r\n Budget .*\r\n/);
});

describe('without a terminal', () => {
  const needs = 'Error: The live view needs a terminal for stdin and stdout.\n';
  const hint = 'Use --once for one frame, or --format ndjson for a line for each change.\n';
  test('it is refused, before anything is connected', async () => {
    expect(await runBinary(['watch-sessions'], {url: 'redis://127.0.0.1:1'})).toEqual({
      code: 1,
      stdout: '',
      stderr: needs + hint,
    });
  });

  test('it is refused on a terminal that cannot move its cursor', async () => {
    const {code} = await open(LIVE, {env: {TERM: 'dumb'}}).ended;
    expect(code).toBe(1);
    expect(screen?.output).toContain('a terminal that can move its cursor, and TERM is dumb.');
  });

  test('the first reading fails: one line, and no other screen', async () => {
    const {code} = await open(LIVE, {url: 'redis://127.0.0.1:1', env: {NO_COLOR: '1'}}).ended;
    expect(code).toBe(1);
    expect(screen?.output).toContain('Error: Cannot connect to Redis at 127.0.0.1:1: connection refused');
    expect(screen?.output).not.toContain('\x1b[?1049h');
  });
});

/** Columns of a text in the terminal, where a wide character takes two. */
function columnsOf(text: string): number {
  return Array.from(text).reduce((sum, character) => {
    if (/\p{Mn}/u.test(character)) return sum;
    return sum + (/[\u3040-\u30ff\u4e00-\u9fff]/.test(character) ? 2 : 1);
  }, 0);
}
