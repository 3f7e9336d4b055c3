import {spawnSync} from 'node:child_process';
import {readFile} from 'node:fs/promises';

import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {runBinary, runProcess} from '../support/program/run.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';
import {ROOT} from '../support/root.js';

interface Shown {
  id: string;
  summary: string;
  related?: string[];
  examples: unknown[];
  exitCodes?: Record<string, string>;
  flags: Record<string, {name: string; char?: string; hidden?: boolean; helpGroup?: string}>;
  args: Record<string, unknown>;
}

const manifest = JSON.parse(await readFile(`${ROOT}oclif.manifest.json`, 'utf8')) as {commands: Record<string, Shown>};
const COMMANDS = Object.values(manifest.commands);
const OWN = ['autocomplete', 'autocomplete:script', 'help'];
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
  expect(await help('help', 'environment')).toContain(`  ${variable} `);
  expect(await help('list-sessions', '--help')).not.toContain(variable);
  expect(PAGE).toContain(`\\fB${variable}\\fR`);
});

test('the help of unfreeze-session says which are all', async () => {
  expect(await help('unfreeze-session', '--help')).toMatch(/--all +Every frozen session\n/);
});

test('a flag has the same short form in every command', () => {
  const forms = new Map<string, Set<string | undefined>>();
  for (const {name, char} of COMMANDS.flatMap(({flags}) => Object.values(flags))) {
    forms.set(name, (forms.get(name) ?? new Set()).add(char));
  }
  expect([...forms].filter(([, chars]) => chars.size > 1)).toEqual([]);
  expect(forms.get('format')).toEqual(new Set(['o']));
});

describe('the help of all', () => {
  test('names every command once, by what it is for, and leaves room for the prompt on a screen of 24 × 80', async () => {
    const text = await help();
    expect(headingsOf(text)).toEqual(['USAGE', 'COMMANDS', 'MORE']);
    const lines = text.split('\n');
    expect(lines.length).toBeLessThanOrEqual(24);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    const [, list = ''] = /^COMMANDS\n([^]*?)\n {2}Many /m.exec(text) ?? [];
    const names = list.split('\n').flatMap((line) => line.slice('  Monitoring  '.length).split(/ +/));
    expect(names.sort()).toEqual([...COMMANDS.map(({id}) => id), 'autocomplete', 'help'].sort());
    expect(list).not.toContain('  Other ');
  });

  test.each([['--help'], ['-h'], ['help']])('%j is the same', async (...argv) => {
    expect(await help(...argv)).toBe(await help());
  });

  test('shows headings in bold on a terminal', async () => {
    const env = {FORCE_COLOR: '1'};
    expect((await runBinary([], {env})).stdout).toContain('\x1b[1mUSAGE\x1b[22m\n');
  });
});

describe('a page of the help', () => {
  test('commands: each with its summary and its short names', async () => {
    const text = (await help('help', 'commands')).replace(/\n {6,}/g, ' ');
    for (const {id, summary} of COMMANDS) {
      expect(text).toContain(`  ${id} `);
      expect(text).toContain(summary);
    }
    expect(text).toContain('(short: ls, list, sessions)');
  });

  test('flags: those of every command', async () => {
    const text = await help('help', 'flags');
    expect(headingsOf(text)).toEqual(['GLOBAL FLAGS']);
    for (const flag of ['--redis-url URL', '-y, --yes', '--json', '-h, --help']) expect(text).toContain(flag);
  });

  test('environment and exit-codes, with what single commands add', async () => {
    expect(headingsOf(await help('help', 'environment'))).toEqual(['ENVIRONMENT', 'ENVIRONMENT OF SINGLE COMMANDS']);
    const codes = await help('help', 'exit-codes');
    expect(codes).toMatch(/^ {2}130 {2}Interrupted/m);
    for (const {id, exitCodes} of COMMANDS) if (exitCodes) expect(codes).toMatch(new RegExp(`^ {2}${id} +\\S`, 'm'));
    expect(await help('help', 'exit', 'codes')).toBe(codes);
  });

  test.each([[['help', 'help']], [['help', '--help']]])('%j is about help', async (argv) => {
    expect(await help(...argv)).toMatch(/^Show help for a command or a topic\n/);
  });

  test('one that does not exist names the nearest', async () => {
    const {code, stderr} = await runBinary(['help', 'enviroment']);
    expect({code, stderr}).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Did you mean environment?') as string,
    });
  });
});

describe.concurrent('the help of a command', () => {
  test.each(COMMANDS.map((command) => [command.id, command] as const))('%s', async (id, {related, examples, flags}) => {
    const text = await help('help', id);
    expect(await help(id, '--help')).toBe(text);
    const headings = headingsOf(text);
    expect(headings.slice(0, 2)).toEqual(['USAGE', 'EXAMPLES']);
    expect(headings.at(-1)).toBe('SEE ALSO');
    expect(text).toMatch(/\nFlags such as --redis-url and --json: tokengate help flags\n$/);
    expect(text.includes('--redis-url ')).toBe(text.includes('Flags such as --redis-url '));
    expect(
      Math.max(
        ...text
          .split('\n')
          .filter((line) => !line.startsWith('    $ '))
          .map(({length}) => length),
      ),
    ).toBeLessThanOrEqual(80);
    expect(examples.length).toBeGreaterThanOrEqual(2);
    for (const {name, hidden, helpGroup} of Object.values(flags)) {
      if (!hidden && helpGroup !== 'GLOBAL') expect(text).toContain(`--${name}`);
    }
    const [, see = ''] = /^SEE ALSO\n([^]*)/m.exec(text) ?? [];
    const seen = [...see.split('\n\n')[0]!.matchAll(/tokengate ([^,\s]+)/g)].map(([, name]) => name);
    expect(seen.length).toBeGreaterThan(0);
    expect(seen).not.toContain(id);
    for (const name of seen) expect([...COMMANDS.map((command) => command.id), ...OWN]).toContain(name);
    if (related !== undefined) expect(related.length).toBeGreaterThan(0);
  });

  test('with its flags in groups', async () => {
    expect(headingsOf(await help('freeze-session', '--help'))).toEqual([
      'USAGE',
      'EXAMPLES',
      'ARGUMENTS',
      'FLAGS',
      'SELECTION FLAGS',
      'OUTPUT FLAGS',
      'DESCRIPTION',
      'SEE ALSO',
    ]);
  });

  test('with --yes only where it asks', async () => {
    const asking = await Promise.all(
      COMMANDS.map(async ({id}) => ((await help(id, '--help')).includes('--yes ') ? id : [])),
    );
    expect(asking.flat()).toEqual([
      'apply-budgets',
      'check-store',
      'freeze-session',
      'reset-session',
      'set-period',
      'undo-change',
      'unfreeze-session',
    ]);
  });

  test('with its short names', async () => {
    expect(await help('list-sessions', '--help')).toContain(
      '  Short: tokengate ls, tokengate list, tokengate sessions\n',
    );
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
      ['freeze', 'a', '--until', '2099-01-01', '--dry-run'],
      ['freeze-session', 'a', '--until', '2099-01-01', '--dry-run'],
    ],
    [
      ['freeze', 'sessions', 'a', '--until', '2099-01-01', '--dry-run'],
      ['freeze-session', 'a', '--until', '2099-01-01', '--dry-run'],
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
    [['log'], ['list-changes']],
    [
      ['status', '--help'],
      ['health', '--help'],
    ],
    [
      ['top', '--help'],
      ['watch-sessions', '--help'],
    ],
    [['version'], ['--version']],
    [['-v'], ['--version']],
    [['--redis-url', 'redis://nowhere.invalid', 'version'], ['--version']],
  ])('%j is %j', async (typed, meant) => {
    expect(await runBinary(typed, redis)).toEqual(await runBinary(meant, redis));
  });

  test('an argument is no word for a command', async () => {
    const {stderr} = await runBinary(['get-budget', 'ls'], redis);
    expect(stderr).toContain("Session 'ls' not found.");
  });
});

test('an error keeps an ID and an address in one piece', async () => {
  const id = 'x'.repeat(110);
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
