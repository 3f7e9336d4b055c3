import {cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import {parse as parseYaml} from 'yaml';

import {parseConfig} from '../../src/lib/contexts/config.js';
import {startReceiver} from '../support/impostors/receiver.js';
import {type Block, findBlocks, neutral, parseCrontab, runConsole, scriptOf} from '../support/markdown.js';
import {freePort} from '../support/ports.js';
import {openTerminal} from '../support/program/pty.js';
import {type Output, runProcess} from '../support/program/run.js';
import {loadSessions, makeShell, type Shell} from '../support/program/shell.js';
import {openShell} from '../support/program/tab.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';
import {ROOT} from '../support/root.js';

/** The sessions from which the examples below each heading start. */
const SAMPLE = {
  'dev-team': ['50.0', '47.1'],
  'my-workflow': ['25.5', '12.3456'],
  staging: ['100.0'],
  'team:alpha:nightly': ['10.0', '0.02643664999999999982'],
};

/** What the gateway has recorded of one of them. */
const HISTORY = ['2026-11-22T16:28:12.319108 gpt-4o', '2026-11-22T16:28:11.100000 gpt-5-nano'].map((request) => {
  const [timestamp, model] = request.split(' ');
  return JSON.stringify({timestamp, model, cost: 0});
});
const SAMPLE_KEYS = Object.values(SAMPLE).flat().length + 1;

/** What the examples of the command pages need besides. */
const MORE = {'test-session': ['10.0']};

/** The blocks that are not run here: they change the machine, or run these tests. */
const NOT_RUN: Record<string, string> = {
  'npm pack && npm install --global ./tokengate-*.tgz\n': 'installs on the machine',
  'npm run demo\nnpm test\n': 'installs what is missing, and runs these tests',
  'npm uninstall --global tokengate\nrm -rf ~/.cache/tokengate\n': 'removes it from the machine',
};

/** A block, and the page that it is on. */
interface Example extends Block {
  page: string;
}

/** Pages whose examples have tests of their own. */
const ELSEWHERE = ['docs/guides/deployments.md', 'docs/guides/monitoring.md'];

const FILES = ['README.md', ...(await pagesOf('docs/guides')), ...(await pagesOf('docs/reference'))].filter(
  (page) => !ELSEWHERE.includes(page),
);
const TEXTS = new Map(
  await Promise.all(FILES.map(async (page) => [page, await readFile(ROOT + page, 'utf8')] as const)),
);
const BLOCKS = [...TEXTS].flatMap(([page, text]) => findBlocks(text).map((block): Example => ({...block, page})));
const CONSOLES = [
  ...new Set(BLOCKS.filter(({language}) => language === 'console').map(({page, heading}) => `${page}: ${heading}`)),
];
/** The file that the page about budgets as code shows. */
const BUDGETS = blocksBelow('The file', 'text')[0]?.text ?? '';
/** A script that a page shows begins with its file name; another example runs it. */
const SCRIPTS = new Map(BLOCKS.flatMap(scriptOf));
const COMMAND_PAGES = await pagesOf('docs/commands');
/** The examples of the command pages. */
const EXAMPLES = (await Promise.all(COMMAND_PAGES.map((page) => readFile(ROOT + page, 'utf8'))))
  .flatMap(findBlocks)
  .filter(({language}) => language === 'bash')
  .flatMap(({text}) => text.split('\n').filter((line) => line !== '' && !line.startsWith('#')));

const {commands: COMMANDS} = JSON.parse(await readFile(`${ROOT}oclif.manifest.json`, 'utf8')) as {
  commands: Record<string, {args: Record<string, unknown>; exitCodes?: Record<string, string>}>;
};
/** Commands that have an exit code of their own for what they find. */
const CAN_FIND = new Set(Object.keys(COMMANDS).filter((id) => COMMANDS[id]?.exitCodes?.['2'] !== undefined));

let redis: TestRedis;
let shell: Shell;
let deadPort: number;
beforeAll(async () => {
  redis = await startRedis({tcp: true});
  await redis.client.sendCommand(['ACL', 'SETUSER', 'operator', 'on', '>p@ss/word', ...rightsListed()]);
  deadPort = await freePort();
  shell = await makeShell();
  for (const [name, text] of SCRIPTS) await writeFile(join(shell.folder, name), text);
  // In the place of a mailer.
  await writeFile(join(shell.folder, 'mail'), '#!/bin/sh\ncat "$4" > mailed.html\n{ echo "$@"; cat; } > mailed.txt\n', {
    mode: 0o755,
  });
});
beforeEach(loadSample);
afterAll(async () => {
  await redis.stop();
  await shell.remove();
});

async function loadSample(): Promise<void> {
  await redis.client.flushDb();
  await loadSessions(redis, SAMPLE);
  await redis.client.rPush('anomaly:my-workflow:history', HISTORY);
  await redis.client.expire('anomaly:my-workflow:history', 3600);
}

describe('the examples of the pages', () => {
  test('every block is run here, or known not to be', () => {
    const isRun = (block: Block): boolean =>
      block.language === 'console' ||
      scriptOf(block).length > 0 ||
      ['cron', 'ini', 'yaml'].includes(block.language) ||
      [
        'text below Shell completion',
        'text below Before a batch',
        'text below The file',
        'text below Staging and production',
      ].includes(`${block.language} below ${block.heading}`);
    const others = new Set(BLOCKS.filter((block) => !isRun(block)).map(({text}) => text));
    expect([...others]).toEqual(Object.keys(NOT_RUN));
  });

  test('a timer of systemd and a CronJob of Kubernetes run a command that there is', async () => {
    const timers = BLOCKS.filter(({language}) => language === 'ini').map(({text}) => text);
    const commands = timers.flatMap((text) => /^ExecStart=(.*)$/m.exec(text)?.[1] ?? []);
    for (const {text} of BLOCKS.filter(({language, text}) => language === 'yaml' && text.includes('CronJob'))) {
      const job = parseYaml(text) as {
        spec: {jobTemplate: {spec: {template: {spec: {containers: {command: string[]}[]}}}}};
      };
      commands.push(...job.spec.jobTemplate.spec.template.spec.containers.map(({command}) => command.join(' ')));
    }
    expect(commands.length).toBe(2);
    for (const command of commands) expect(await run(command), command).toEqual({code: 0, stdout: '', stderr: ''});
  });

  test('a context file is one', async () => {
    const files = BLOCKS.filter(({language, text}) => language === 'yaml' && text.includes('contexts:'));
    expect(files).toHaveLength(1);
    for (const {text} of files) expect((await parseConfig(text, 'config.yaml')).contexts.size).toBeGreaterThan(1);
  });

  test('the workflow shows the difference of a pull request, and applies the file after the merge', async () => {
    const [{text} = {text: ''}] = blocksBelow('In CI', 'yaml');
    const {jobs} = parseYaml(text) as Record<'jobs', Record<'diff' | 'apply', {steps: {run?: string}[]}>>;
    // As GitHub runs a step.
    const runJob = async (
      name: keyof typeof jobs,
      sessions: string,
    ): Promise<[code: number | null, summary: string]> => {
      const summary = join(shell.folder, 'summary.md');
      await writeFile(join(shell.folder, 'budgets.yaml'), `version: 1\nsessions:\n${sessions}`);
      await writeFile(summary, '');
      const steps = jobs[name].steps.flatMap((step) => step.run ?? []);
      expect(steps.length).toBeGreaterThan(0);
      for (const step of steps) {
        const {code} = await run(`set -eo pipefail\n${step}`, {GITHUB_STEP_SUMMARY: summary, GITHUB_SHA: 'abc'});
        if (code !== 0) return [code, await readFile(summary, 'utf8')];
      }
      return [0, await readFile(summary, 'utf8')];
    };
    const change = '  dev-team: {budget: 60}\n';
    const difference = expect.stringMatching(/^```diff\n~ dev-team: budget \$50\.00 → \$60\.00\n[^`]*```\n$/) as string;
    expect(await runJob('diff', change)).toEqual([0, difference]);
    expect(await redis.client.get('session:dev-team:budget')).toBe('50.0');
    expect(await runJob('apply', change)).toEqual([0, '']);
    expect(await redis.client.get('session:dev-team:budget')).toBe('60');
    expect((await run("tokengate list-changes --json | jq -r '.[0].reason'")).stdout).toBe('abc\n');
    expect(await runJob('diff', change)).toEqual([0, expect.stringContaining('0 to change')]);
    for (const job of ['diff', 'apply'] as const) {
      expect(await runJob(job, '  dev-team: {budget: -1}\n')).toEqual([1, expect.not.stringContaining('to change')]);
    }
    expect(await redis.client.get('session:dev-team:budget')).toBe('60');
  });

  test.each([...SCRIPTS.keys()])('%s is run by another example', (name) => {
    const callers = BLOCKS.filter(({language}) => language === 'console' || language === 'cron');
    expect(callers.some(({text}) => new RegExp(`^.*(bash|python3) (\\S*/)?${name}( .*)?$`, 'm').test(text))).toBe(true);
  });

  test.each(CONSOLES)('%s: they print what the page shows', async (place) => {
    for (const {page, heading, language, text} of BLOCKS) {
      if (language !== 'console' || `${page}: ${heading}` !== place) continue;
      expect(neutral(await runConsole(text, run))).toBe(neutral(text));
    }
  });

  test.each(EXAMPLES)('%s', async (command) => {
    await loadSessions(redis, MORE);
    if (command.includes('change')) await run('tokengate set-budget test-session 11');
    if (command.includes('revoke-grant')) await run('tokengate grant-budget my-workflow 5 --for 1h');
    if (command.includes('report-spending')) await recordSince(60);
    await rm(join(shell.folder, '.config'), {recursive: true, force: true});
    if (command.includes('remove-context')) await run('tokengate add-context staging --redis-url redis://h');
    if (command.includes('budgets.yaml')) await writeFile(join(shell.folder, 'budgets.yaml'), BUDGETS);
    if (command.includes('plan.json')) await run('tokengate diff-budgets -f budgets.yaml --out plan.json');
    if (command.includes('protect-store --remove')) await run('tokengate protect-store prod');
    let named = command;
    for (const [shown, list] of [
      ['k7m2q9x4tv', "tokengate list-changes --limit 1 --json | jq -r '.[0].change_id'"],
      ['4k7m2xq9hb', "tokengate list-grants --json | jq -r '.[0].grant_id'"],
    ] as const) {
      if (command.includes(shown)) named = named.replace(shown, (await run(list)).stdout.trim());
    }
    const script = `set -o pipefail\n${named}`;
    const output = await run(script);
    const {code, stderr} = asksForYes(output) ? await run(`${script} --yes`) : output;
    const [, name = ''] = /tokengate (?:--redis-url \S+ )?([\w-]+)/.exec(command) ?? [];
    // It may have found something, and has not failed.
    if (CAN_FIND.has(name)) expect([0, 2], stderr).toContain(code);
    else if (stderr.includes('The live view needs a terminal')) await openAndQuit(command);
    else expect(code, stderr).toBe(0);
  });

  test('the question of a batch is the one that is shown', async () => {
    for (const {text} of blocksBelow('Before a batch', 'text')) {
      const [, command = '', question = ''] = /^\$ tokengate (.*)\n(.*)\n$/.exec(text) ?? [];
      const url = redis.url.replace('127.0.0.1', 'localhost');
      const terminal = openTerminal(command.split(' '), {url, columns: 200, env: {NO_COLOR: '1'}});
      await terminal.shows(question.replace(/localhost:\d+/, new URL(url).host));
      terminal.type('\r');
      const {code, screen} = await terminal.ended;
      expect(code).toBe(1);
      expect(screen).toContain('Error: Cancelled: nothing was changed.');
      expect(await redis.client.dbSize()).toBe(SAMPLE_KEYS);
    }
  });

  test('the question of a protected store is the one that is shown', async () => {
    await rm(join(shell.folder, '.config'), {recursive: true, force: true});
    await run('tokengate add-context prod --redis-url redis://prod-redis:6379');
    await redis.client.set('tokengate:store', 'prod');
    const [{text} = {text: ''}] = blocksBelow('Staging and production', 'text');
    const [, command = '', question = ''] = /^\$ tokengate (.*)\n(.*)\n$/.exec(text) ?? [];
    const env = {NO_COLOR: '1', XDG_CONFIG_HOME: join(shell.folder, '.config')};
    const terminal = openTerminal(command.split(' '), {columns: 200, env});
    await terminal.shows(onThisMachine(question));
    terminal.type('\r');
    expect(await terminal.ended).toMatchObject({code: 1, screen: expect.stringContaining('Cancelled')});
  });

  test.each(['bash', 'zsh', 'fish'] as const)('the line for %s sets up what the chapter shows', async (name) => {
    const rows = sectionBelow('Shell completion').matchAll(/^\| (\w+) +\| `([^`]+)` +\| `([^`]+)` +\|$/gm);
    const setups = new Map(Array.from(rows, ([, title = '', file, line]) => [title.toLowerCase(), {file, line}]));
    expect([...setups.keys()]).toEqual(['bash', 'zsh', 'fish', 'powershell']);
    // `|` ends a cell of a table.
    const setup = setups.get(name)?.line?.replaceAll('\\|', '|') ?? '';
    const terminal = await openShell(name, {
      home: join(shell.folder, 'homes', name),
      setup,
      url: redis.url,
      env: {PATH: `${shell.folder}:${process.env['PATH'] ?? ''}`, TOKENGATE_COMPLETION_MS: '30000'},
    });
    expect(terminal.file).toBe(setups.get(name)?.file);
    const text = blocksBelow('Shell completion', 'text')
      .map((block) => block.text)
      .join('');
    const [first = '', second = '', done = ''] = text.split('\n').map((line) => line.replace('$ ', ''));
    expect(await terminal.lineAfter(first.replace('<TAB>', '\t'))).toBe('tokengate get-budget ');
    expect(await terminal.lineAfter(second.replace('<TAB>', '\t'))).toBe(`${done} `);
    await terminal.close();
  });

  test('the lines of cron run without a terminal', async () => {
    await mkdir(join(shell.folder, 'log'));
    const receiver = await startReceiver();
    await writeFile(join(shell.folder, 'webhook'), receiver.url, {mode: 0o600});
    let resets = 0;
    for (const {text} of BLOCKS.filter(({language}) => language === 'cron')) {
      await loadSample();
      await redis.client.set('session:staging:spent', '1');
      const {variables, commands} = parseCrontab(onThisMachine(text));
      expect(commands.length).toBeGreaterThan(0);
      for (const command of commands) {
        const {code, stderr} = await run('exec sh -c "$COMMAND"', {...variables, COMMAND: command});
        // A check that finds something says so.
        expect(command.includes('tokengate check-') ? [0, 2] : [0], `${command}: ${stderr}`).toContain(code);
        expect(stderr).toBe('');
      }
      resets += 1 - (await redis.client.exists('session:staging:spent'));
    }
    expect(resets).toBe(1);
    expect(receiver.posts).toHaveLength(1);
    await receiver.stop();
    expect(await readFile(join(shell.folder, 'log', 'daily-report.txt'), 'utf8')).toContain('║ dev-team ');
  });
});

test('the report of a month is mailed with its page, and posted', async () => {
  await run('tokengate record-spending');
  await redis.client.mSet({'session:dev-team:spent': '50.1', 'session:team:alpha:nightly:spent': '2.5'});
  await run('tokengate record-spending');
  expect(await run('bash mail-spending.sh this-month finance@example.com')).toEqual({code: 0, stdout: '', stderr: ''});
  const mailed = await readFile(join(shell.folder, 'mailed.txt'), 'utf8');
  expect(mailed).toMatch(/^-s LLM spending, this-month -A \S+spending.html finance@example.com\n/);
  expect(mailed).toContain('║ dev-team ║ $3.0000 ');
  expect(await readFile(join(shell.folder, 'mailed.html'), 'utf8')).toContain(
    '<th scope="row">team</th><td>$2.4736</td>',
  );
  const receiver = await startReceiver();
  await writeFile(join(shell.folder, 'webhook'), receiver.url);
  const post = /`(bash \S+slack-spending\.sh last-month \| curl .*?)`/.exec(
    TEXTS.get('docs/guides/spending-reports.md') ?? '',
  )?.[1];
  expect(await run(onThisMachine(post?.replace('last-month', 'this-month') ?? ''))).toMatchObject({
    code: 0,
    stderr: '',
  });
  expect(receiver.posts.map(({text}) => text)).toEqual([
    expect.stringMatching(/^LLM spending\ndev-team: \$3\nteam: \$2\.47356335\d*$/),
  ]);
  await receiver.stop();
});

describe('the lists of the pages', () => {
  test('the columns of a list have the listed names in JSON and CSV', async () => {
    const [, ...rows] = tableBelow('Questions to a list');
    const columns = rows.flatMap(([names = '']) => namesIn(names));
    const fields = rows.flatMap(([, names = '']) => namesIn(names));
    const list = `tokengate list-sessions --sort rate --sample 1s --limit 1 --columns ${columns.join(',')} --format`;
    expect(Object.keys((await jsonOf(`${list} ndjson`)) as object)).toEqual(fields);
    expect((await run(`${list} csv`)).stdout.split('\n')[0]).toBe(fields.join(','));
    const {stderr} = await run('tokengate list-sessions --columns none');
    expect(stderr).toContain(`Columns: ${columns.join(', ')}.`);
  });

  test('a filter has the listed fields', async () => {
    const fields = tableBelow('Filters').flatMap(([names = '']) => namesIn(names));
    const {stderr} = await run("tokengate list-sessions --where 'none'");
    const named = /^Fields: (.*?)\. /m.exec(stderr)?.[1]?.replace('(percent)', '').match(/\w+/g);
    expect([...fields].sort()).toEqual([...(named ?? [])].sort());
  });

  test.each(['reset', 'freeze', 'unfreeze'])('the batch %s has the listed outcomes and fields', async (verb) => {
    const [, ...rows] = tableBelow('What a batch reports');
    const [[dones = '', plans = ''] = [], ...others] = rows;
    const done = namesIn(dones)[['reset', 'freeze', 'unfreeze'].indexOf(verb)];
    const {required} = (await schemaOf(`${verb}-session`)).anyOf[0]!;
    if (verb === 'unfreeze') await run('tokengate freeze-session --all --yes');

    const preview = await batchOf(verb, '--dry-run');
    expect(namesIn(plans)).toContain(`would_${verb}`);
    expect(preview.results[0]).toEqual({
      session_id: 'dev-team',
      outcome: `would_${verb}`,
      change_id: null,
      now: expect.any(String),
      then: expect.any(String),
    });

    const report = await batchOf(verb, '--yes');
    const fields = required.filter((field) => field !== 'second_look');
    expect(Object.keys(report)).toEqual(['action', 'dry_run', 'results', 'second_looks', 'change_id', 'summary']);
    expect(Object.keys(report.results[0] ?? {})).toEqual([
      'session_id',
      'outcome',
      'change_id',
      ...fields.slice(1, -1),
    ]);
    expect(report.results[0]).toMatchObject({outcome: done});
    expect(Object.keys(report.summary)).toEqual([done, ...others.flatMap(([names = '']) => namesIn(names))]);
  });

  test('a user with the listed rights can run every command', async () => {
    const url = redis.url.replace('//', '//operator:p%40ss%2Fword@');
    const commands = [
      ...['health', 'list-sessions', 'list-sessions --frozen', 'get-budget dev-team', 'anomaly-stats dev-team'],
      ...['explain-session dev-team', 'list-requests dev-team', 'check-store'],
      ...['set-budget dev-team 5', 'add-budget dev-team 5', 'freeze-session dev-team', 'unfreeze-session dev-team'],
      ...['reset-session staging --yes', 'freeze-session --all --yes', 'unfreeze-session --all --yes'],
      ...["reset-session --where '!frozen' --dry-run", 'reset-session --all --yes'],
      ...['list-changes', 'undo-change --last --yes'],
    ];
    for (const command of commands) {
      const {code, stderr} = await run(`tokengate --redis-url ${url} ${command}`);
      expect({command, code, stderr}).toMatchObject({command, code: 0});
    }
    await redis.client.lPush('anomaly:dev-team:frozen_until', 'x');
    for (const command of ['unfreeze-session dev-team', 'undo-change --last --yes']) {
      expect(await run(`tokengate --redis-url ${url} ${command}`)).toMatchObject({code: 0});
    }
    await redis.client.flushDb();
    // More sessions than one run of a script takes.
    await loadSessions(redis, Object.fromEntries(Array.from({length: 200}, (_, index) => [`s-${index}`, ['1.0']])));
    expect(await run(`tokengate --redis-url ${url} freeze-session --all --yes --quiet`)).toMatchObject({
      code: 0,
      stdout: '✓ Frozen 200\n',
    });
  });

  test('without EVAL and the journal budgets can be set and sessions be reset all the same', async () => {
    const rights = [
      ...rightsListed().filter((right) => right !== '~tokengate:*'),
      '-eval',
      '+multi',
      '+exec',
      '+getdel',
    ];
    await redis.client.sendCommand(['ACL', 'SETUSER', 'plain', 'on', '>x', ...rights]);
    const url = redis.url.replace('//', '//plain:x@');
    expect(await run(`tokengate --redis-url ${url} set-budget staging 5 --no-journal`)).toMatchObject({code: 0});
    expect(await run(`tokengate --redis-url ${url} reset-session --all --yes --quiet --no-journal`)).toMatchObject({
      code: 0,
      stdout: '✓ Reset 4\n',
    });
    expect((await run(`tokengate --redis-url ${url} freeze-session staging --no-journal`)).stderr).toContain(
      "refused: this user lacks a permission ('eval' command)",
    );
  });
});

/** As if spending had been recorded for so many days. */
async function recordSince(days: number): Promise<void> {
  await run('tokengate record-spending');
  const began = Date.now() - days * 86_400_000;
  const day = new Date(began).toISOString().slice(0, 10);
  await redis.client.hSet('tokengate:{spending}:ledger', {began, [`day:${day}`]: `${began} ${began} 0 0`});
}

interface BatchJson {
  action: string;
  dry_run: boolean;
  results: Record<string, unknown>[];
  summary: Record<string, number>;
}

async function schemaOf(command: string): Promise<{anyOf: {required: string[]}[]}> {
  const text = await readFile(`${ROOT}docs/reference/schemas/${command}.schema.json`, 'utf8');
  return JSON.parse(text) as {anyOf: {required: string[]}[]};
}

/** Of a command that may have found something; when it fails, what it said is shown. */
async function jsonOf(script: string): Promise<unknown> {
  const {code, stdout, stderr} = await run(script);
  expect([0, 2], stderr).toContain(code);
  return JSON.parse(stdout);
}

async function batchOf(verb: string, flags: string): Promise<BatchJson> {
  return (await jsonOf(`tokengate ${verb}-session --all ${flags} --json`)) as BatchJson;
}

describe('scripts/build/docs.mjs', () => {
  let copy: string;
  beforeEach(async () => {
    copy = await mkdtemp(join(tmpdir(), 'tokengate-docs-'));
    const sources = ['package.json', 'tsconfig.json', 'oclif.manifest.json', 'build', 'scripts/build', 'src'];
    for (const file of [...sources, 'docs/commands', 'docs/reference/schemas']) {
      await cp(`${ROOT}${file}`, join(copy, file), {recursive: true});
    }
    await symlink(`${ROOT}node_modules`, join(copy, 'node_modules'));
    return () => rm(copy, {recursive: true});
  });

  const runScript = async (...argv: string[]): Promise<Output> =>
    runProcess(process.execPath, [join(copy, 'scripts/build/docs.mjs'), ...argv]);

  test('finds the pages up to date', async () => {
    expect(await runScript('--check')).toEqual({code: 0, stdout: '', stderr: ''});
  });

  test('names the stale files in one line, and mends them', async () => {
    const page = join(copy, 'docs/commands/health.md');
    const text = await readFile(page, 'utf8');
    await writeFile(page, text.replace('# tokengate health', '# tokengate ping'));
    await writeFile(join(copy, 'docs/commands/gone.md'), '# tokengate gone\n');
    await writeFile(join(copy, 'docs/reference/schemas/health.schema.json'), '{}\n');
    expect(await runScript('--check')).toEqual({
      code: 1,
      stdout: '',
      stderr:
        'Stale: docs/commands/gone.md, docs/commands/health.md, docs/reference/schemas/health.schema.json. ' +
        'Run npm run build, and commit what it writes.\n',
    });
    expect(await runScript()).toEqual({code: 0, stdout: '', stderr: ''});
    expect(await runScript('--check')).toEqual({code: 0, stdout: '', stderr: ''});
    expect(await readFile(page, 'utf8')).toBe(text);
  });
});

async function pagesOf(folder: string): Promise<string[]> {
  return (await readdir(ROOT + folder)).filter((name) => name.endsWith('.md')).map((name) => `${folder}/${name}`);
}

function blocksBelow(heading: string, language: string): Block[] {
  return BLOCKS.filter((block) => block.heading === heading && block.language === language);
}

/** The text between a heading, which only one page has, and the next. */
function sectionBelow(heading: string): string {
  const sections = [...TEXTS.values()].flatMap((text) => {
    const [, after] = text.split(new RegExp(`^#+ ${heading}\\n`, 'm'));
    return after === undefined ? [] : [after.split('\n#')[0] ?? ''];
  });
  expect(sections, heading).toHaveLength(1);
  return sections[0] ?? '';
}

/** The rows of the first table below a heading, its titles too, each as its cells. */
function tableBelow(heading: string): string[][] {
  const lines = sectionBelow(heading)
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| --'));
  return lines.map((line) => line.slice(2, -2).split(' | '));
}

function namesIn(cell: string): string[] {
  return Array.from(cell.matchAll(/`(\w+)`/g), ([, name = '']) => name);
}

/** What ACL SETUSER is told for the rights that the guide lists. */
function rightsListed(): string[] {
  const [, keys = '', commands = ''] =
    /^An ACL user needs the keys (.*?), and the commands (.*?) \(/ms.exec(sectionBelow('Rights')) ?? [];
  const names = (text: string): string[] => Array.from(text.matchAll(/`([^`]+)`/g), ([, name = '']) => name);
  return [...names(keys).map((key) => `~${key}`), ...names(commands).map((name) => `+${name.toLowerCase()}`)];
}

async function run(script: string, env: Record<string, string> = {}): Promise<Output> {
  return shell.run(onThisMachine(script), {url: redis.url, env: {...env, ...pathFirst(env)}});
}

/** The folder of the test's `tokengate`, before the folders of a crontab. */
function pathFirst({PATH = ''}: Record<string, string>): Record<string, string> {
  return PATH === '' ? {} : {PATH: `${shell.folder}:${PATH}:${process.env['PATH'] ?? ''}`};
}

/** The test's server in place of the hosts, and its folder in place of the paths. */
function onThisMachine(script: string): string {
  return script
    .replaceAll(/\b(prod-redis|staging-redis|other-host):6379/g, new URL(redis.url).host)
    .replaceAll('localhost:6380', `127.0.0.1:${deadPort}`)
    .replaceAll('/var/lib/prometheus/node-exporter/', `${shell.folder}/`)
    .replaceAll('/var/log/tokengate/', `${shell.folder}/log/`)
    .replaceAll('/etc/tokengate/', `${shell.folder}/`)
    .replaceAll('/opt/tokengate/', `${shell.folder}/`);
}

/** Runs a command that fills the screen. */
async function openAndQuit(command: string): Promise<void> {
  const words =
    command
      .replace(/^tokengate /, '')
      .replaceAll("'", '')
      .match(/(?<=--where )used > \d+|\S+/g) ?? [];
  const terminal = openTerminal(words, {url: redis.url});
  await terminal.shows('● live');
  terminal.type('q');
  expect((await terminal.ended).code).toBe(0);
}

function asksForYes({stderr}: Output): boolean {
  return stderr.includes('Add --yes to go ahead without a question.');
}
