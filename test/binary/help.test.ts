import {spawnSync} from 'node:child_process';
import {readFile} from 'node:fs/promises';

import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {ROOT, runBinary, runProcess} from '../support/program/run.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';

interface Shown {
  id: string;
  summary: string;
  related?: string[];
  examples: unknown[];
  flags: Record<string, {name: string; hidden?: boolean}>;
  args: Record<string, unknown>;
}

const manifest = JSON.parse(await readFile(`${ROOT}oclif.manifest.json`, 'utf8')) as {commands: Record<string, Shown>};
const COMMANDS = Object.values(manifest.commands);
const OWN = ['autocomplete', 'autocomplete:script'];
const PAGE = await readFile(`${ROOT}dist/tokengate.1`, 'utf8');
const hasMan = spawnSync('man', ['--version']).status === 0;

let redis: TestRedis;
beforeAll(async () => {
  redis = await startRedis();
  await redis.client.set('session:a:budget', '20');
});
afterAll(() => redis.stop());

const help = async (...argv: string[]): Promise<string> => {
  const {code, stdout, stderr} = await runBinary(argv);
  expect({code, stderr}).toEqual({code: 0, stderr: ''});
  return stdout;
};

/** Headings, in their order. */
const headingsOf = (text: string): string[] => [...text.matchAll(/^[A-Z][A-Z ]+$/gm)].map(([heading]) => heading);

test('variables of one command stand in its help and in the page', async () => {
  const variable = 'TOKENGATE_WEBHOOK_URL';
  expect((await help('check-sessions', '--help')).split('\nENVIRONMENT\n')[1]).toContain(`  ${variable} `);
  expect(await help('list-sessions', '--help')).not.toContain(variable);
  expect(PAGE).toContain(`\\fB${variable}\\fR`);
});

test('the help of unfreeze-session says which are all', async () => {
  expect(await help('unfreeze-session', '--help')).toMatch(/--all +Every session that has a freeze\n/);
});

describe('the help of all', () => {
  test('names every command, and what holds for each', async () => {
    const text = await help();
    expect(headingsOf(text)).toEqual([
      'VERSION',
      'USAGE',
      'COMMANDS',
      'GLOBAL FLAGS',
      'EXAMPLES',
      'EXIT CODES',
      'ENVIRONMENT',
      'LEARN MORE',
    ]);
    const [, list = ''] = /^COMMANDS\n([^]*?)\n\n/m.exec(text) ?? [];
    const names = [...list.matchAll(/^ {2}(\S+)/gm)].map(([, name]) => name);
    expect(names).toEqual([...COMMANDS.map(({id}) => id), 'autocomplete', 'help'].sort());
    for (const flag of ['--redis-url=URL', '-y, --yes', '--json', '-h, --help']) expect(text).toContain(flag);
  });

  test.each([['--help'], ['-h'], ['help'], ['help', '--help']])('%j is the same', async (...argv) => {
    expect(await help(...argv)).toBe(await help());
  });
});

describe.concurrent('the help of a command', () => {
  test.each(COMMANDS.map((command) => [command.id, command] as const))('%s', async (id, {related, examples, flags}) => {
    const text = await help('help', id);
    expect(await help(id, '--help')).toBe(text);
    const headings = headingsOf(text);
    expect(headings.slice(-3)).toEqual(['EXIT CODES', 'ENVIRONMENT', 'SEE ALSO']);
    expect(headings).toEqual(expect.arrayContaining(['USAGE', 'GLOBAL FLAGS', 'EXAMPLES']));
    expect(examples.length).toBeGreaterThanOrEqual(2);
    for (const {name, hidden} of Object.values(flags)) if (!hidden) expect(text).toContain(`--${name}`);
    const [, see = ''] = /^SEE ALSO\n([^]*)/m.exec(text) ?? [];
    const seen = [...see.matchAll(/tokengate help (\S+)/g)].map(([, name]) => name);
    expect(seen.length).toBeGreaterThan(0);
    expect(seen).not.toContain(id);
    for (const name of seen) expect([...COMMANDS.map((command) => command.id), ...OWN]).toContain(name);
    if (related !== undefined) expect(related.length).toBeGreaterThan(0);
  });

  test('with its flags in groups', async () => {
    expect(headingsOf(await help('freeze-session', '--help'))).toEqual([
      'USAGE',
      'ARGUMENTS',
      'FLAGS',
      'SELECTION FLAGS',
      'OUTPUT FLAGS',
      'GLOBAL FLAGS',
      'DESCRIPTION',
      'EXAMPLES',
      'EXIT CODES',
      'ENVIRONMENT',
      'SEE ALSO',
    ]);
  });

  test('of two words', async () => {
    expect(await help('help', 'autocomplete', 'script')).toContain('$ tokengate autocomplete script SHELL\n');
    expect(await help('autocomplete', 'script', '--help')).toBe(await help('help', 'autocomplete', 'script'));
  });
});

describe.concurrent('other words for a command', () => {
  test.each([
    [
      ['list', 'sessions', '--json'],
      ['list-sessions', '--json'],
    ],
    [
      ['sessions', 'list', '--json'],
      ['list-sessions', '--json'],
    ],
    [
      ['session', 'list', '--json'],
      ['list-sessions', '--json'],
    ],
    [
      ['--json', 'list', 'session'],
      ['list-sessions', '--json'],
    ],
    [['sessions'], ['list-sessions']],
    [['list'], ['list-sessions']],
    [
      ['ls', '--format', 'csv'],
      ['list-sessions', '--format', 'csv'],
    ],
    [
      ['get', 'budget', 'a'],
      ['get-budget', 'a'],
    ],
    [
      ['budget', 'get', 'a'],
      ['get-budget', 'a'],
    ],
    [
      ['stats', 'a'],
      ['anomaly-stats', 'a'],
    ],
    [
      ['anomaly', 'stats', 'a'],
      ['anomaly-stats', 'a'],
    ],
    [
      ['freeze', 'a', '--dry-run'],
      ['freeze-session', 'a', '--dry-run'],
    ],
    [
      ['freeze', 'sessions', 'a', '--dry-run'],
      ['freeze-session', 'a', '--dry-run'],
    ],
    [
      ['help', 'list', 'sessions'],
      ['help', 'list-sessions'],
    ],
    [
      ['get', 'budget', '--help'],
      ['get-budget', '--help'],
    ],
    [['get', 'budget'], ['get-budget']],
  ])('%j is %j', async (typed, meant) => {
    expect(await runBinary(typed, redis)).toEqual(await runBinary(meant, redis));
  });

  test('an argument is no word for a command', async () => {
    const {stderr} = await runBinary(['get-budget', 'ls'], redis);
    expect(stderr).toContain("Session 'ls' not found.");
  });

  test('no help shows them', async () => {
    expect(await help()).not.toMatch(/^ {2}(ls|sessions|freeze)\s/m);
  });
});

test('an error keeps an ID and an address in one piece', async () => {
  const id = 'x'.repeat(300);
  const {stderr} = await runBinary(['get-budget', id], redis);
  expect(stderr).toContain(`Error: Session '${id}' not found.\n`);
  const host = `${'h'.repeat(60)}.${'i'.repeat(60)}.invalid`;
  expect((await runBinary(['get-budget', id, '--redis-url', `redis://${host}:1`])).stderr).toContain(host);
  expect((await runBinary([id], redis)).stderr).toContain(`Unknown command '${id}'.\n`);
});

describe('the man page', () => {
  test('has every command with every flag, and no more', () => {
    const sections = [...PAGE.matchAll(/^\.SS (.*)$/gm)].map(([, name]) => name?.replace(/ /g, ':'));
    expect(sections).toEqual([...COMMANDS.map(({id}) => id), ...OWN].sort());
    for (const {id, flags, summary} of COMMANDS) {
      const [, section = ''] = PAGE.split(`\n.SS ${id}\n`);
      expect(section).toContain(summary.replaceAll('-', '\\-').replaceAll("'", '\\(aq'));
      for (const {name, hidden} of Object.values(flags)) {
        if (!hidden) expect(PAGE).toContain(`\\fB\\-\\-${name.replaceAll('-', '\\-')}\\fR`);
      }
    }
  });

  test.skipIf(!hasMan)('is what man can read, without a warning', async () => {
    const file = `${ROOT}dist/tokengate.1`;
    const env = {LANG: 'C.UTF-8', MANWIDTH: '80', MANPAGER: 'cat'};
    const checked = await runProcess('man', ['--warnings', '-E', 'UTF-8', '-Tutf8', '-Z', '-l', file], {env});
    expect(checked).toMatchObject({code: 0, stderr: ''});
    const {stdout} = await runProcess('man', ['-l', file], {env});
    expect(stdout).toContain('tokengate add-budget my-workflow -- -2.50');
    expect(stdout).toContain('--redis-url URL');
  });
});
