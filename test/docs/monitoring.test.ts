import {chmod, mkdir, readFile, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import {type Receiver, startReceiver} from '../support/impostors/receiver.js';
import {type Block, findBlocks, neutral, parseCrontab, runConsole, scriptOf} from '../support/markdown.js';
import {freePort} from '../support/ports.js';
import {promtool} from '../support/program/promtool.js';
import type {Output} from '../support/program/run.js';
import {loadSessions, makeShell, type Shell} from '../support/program/shell.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';
import {ROOT} from '../support/root.js';

const PAGE = await readFile(`${ROOT}docs/guides/monitoring.md`, 'utf8');
const BLOCKS = findBlocks(PAGE);
const SCRIPTS = new Map(BLOCKS.flatMap(scriptOf));
const below = (heading: string, language: string): string[] =>
  BLOCKS.filter((block) => block.heading === heading && block.language === language).map(({text}) => text);
const cellsOf = (line: string): string[] => line.slice(2, -2).split(' | ');
const codesIn = (text: string): string[] => Array.from(text.matchAll(/`([^`]+)`/g), ([, code = '']) => code);

const SAMPLE = {
  'dev-team': ['50.00', '47.10'],
  'my-workflow': ['25.50', '12.3456'],
  staging: ['100.00'],
  'team:alpha:nightly': ['10.0', '0.02643664999999999982'],
};

let redis: TestRedis;
let receiver: Receiver;
let shell: Shell;
let deadPort: number;
beforeAll(async () => {
  redis = await startRedis({tcp: true});
  receiver = await startReceiver();
  deadPort = await freePort();
});
beforeEach(async () => {
  await redis.client.flushDb();
  await loadSessions(redis, SAMPLE);
  shell = await makeShell();
  for (const [name, text] of SCRIPTS) await writeFile(join(shell.folder, name), text);
  for (const folder of ['etc', 'metrics', 'bin']) await mkdir(join(shell.folder, folder));
  return () => shell.remove();
});
afterAll(() => Promise.all([redis.stop(), receiver.stop()]));

/** The test's servers in place of the hosts, and its folders in place of the paths. */
function onThisMachine(script: string): string {
  return script
    .replaceAll('prod-redis:6379', new URL(redis.url).host)
    .replaceAll('localhost:6380', `127.0.0.1:${deadPort}`)
    .replaceAll('/etc/tokengate/', `${shell.folder}/etc/`)
    .replaceAll('/var/lib/prometheus/node-exporter/', `${shell.folder}/metrics/`);
}
const run = (script: string, env: Record<string, string> = {}): Promise<Output> =>
  shell.run(onThisMachine(script), {url: redis.url, env});

describe('docs/guides/monitoring.md', () => {
  test('every block is tried here, but the configuration of Icinga', () => {
    const tried = (block: Block): boolean =>
      ['console', 'cron', 'yaml', 'bash'].includes(block.language) &&
      (block.language !== 'bash' ||
        scriptOf(block).length > 0 ||
        ['Slack and other webhooks', 'Grafana'].includes(block.heading));
    const others = BLOCKS.filter((block) => !tried(block)).map(({text}) => text.split('\n')[0]);
    expect(others).toEqual(['object CheckCommand "tokengate" {']);
  });

  test('every part is linked at the top', () => {
    const headings = Array.from(PAGE.matchAll(/^## (.*)$/gm), ([, heading = '']) => heading);
    const links = Array.from(PAGE.matchAll(/^- \[(.*)\]\(#(.*)\)$/gm), ([, text = '', anchor = '']) => [text, anchor]);
    expect(links).toEqual(headings.map((heading) => [heading, heading.toLowerCase().replaceAll(' ', '-')]));
  });

  const headings = [...new Set(BLOCKS.filter(({language}) => language === 'console').map(({heading}) => heading))];
  test.each(headings)('the examples below "%s" print what is shown', async (heading) => {
    for (const text of below(heading, 'console')) {
      expect(neutral(await runConsole(text, run))).toBe(neutral(text));
    }
  });

  test('what stands in place of the old scripts finds the same', async () => {
    await loadSessions(redis, {eighty: ['10', '8.5']});
    await redis.client.set('anomaly:staging:frozen_until', '2099-01-01T00:00:00');
    const commands = PAGE.split('\n')
      .filter((line) => line.startsWith('| ') && line.includes('`tokengate check-sessions --warn'))
      .map((line) => codesIn(cellsOf(line)[1] ?? '')[0] ?? '');
    const found = await Promise.all(
      commands.map(async (command) => {
        const {stdout} = await run(`${command} --json`);
        const {findings} = JSON.parse(stdout) as {findings: {session_id: string}[]};
        return findings.map(({session_id: id}) => id);
      }),
    );
    expect(found).toEqual([['dev-team'], ['dev-team', 'eighty'], ['staging']]);
  });

  test('the lines of cron run without a terminal, and say nothing when nothing is new', async () => {
    for (const text of below('cron', 'cron')) {
      const {variables, commands} = parseCrontab(onThisMachine(text));
      const env = {...variables, PATH: `${shell.folder}:${variables['PATH'] ?? ''}:${process.env['PATH'] ?? ''}`};
      const outputs: Output[] = [];
      for (const command of [...commands, ...commands]) {
        outputs.push(await run('exec sh -c "$COMMAND"', {...env, COMMAND: command}));
      }
      const report = expect.stringMatching(/^WARNING - 1 warning; 4 sessions checked\n.*\n$/) as string;
      expect(outputs).toEqual([
        {code: 2, stdout: report, stderr: ''},
        {code: 2, stdout: report, stderr: ''},
        {code: 0, stdout: '', stderr: ''},
        {code: 0, stdout: '', stderr: ''},
        {code: 2, stdout: report, stderr: ''},
        {code: 0, stdout: '', stderr: ''},
      ]);
    }
    const metrics = await readFile(join(shell.folder, 'metrics', 'tokengate.prom'), 'utf8');
    expect(await promtool(['check', 'metrics'], metrics)).toEqual({code: 0, stdout: '', stderr: ''});
  });

  test('the webhook is set up by its lines', async () => {
    for (const text of below('Slack and other webhooks', 'bash')) {
      const {code, stderr} = await run(text, {WEBHOOK_URL: receiver.url});
      expect({code, stderr}).toEqual({code: 2, stderr: ''});
    }
    expect((await stat(join(shell.folder, 'etc', 'webhook'))).mode & 0o777).toBe(0o600);
    expect(receiver.posts.map(({text}) => text.split('\n')[1])).toEqual([
      '• *WARNING* `dev-team` used 94.2% of its budget, at or above 80% ($47.10 of $50.00, $2.90 left)',
    ]);
  });

  test('the variables of a command are the listed ones', async () => {
    const listed = PAGE.split('\n')
      .filter((line) => line.startsWith('| `TOKENGATE_ALERT_'))
      .flatMap((line) => codesIn(cellsOf(line)[0] ?? ''));
    const {stderr} = await run("tokengate check-sessions --new-only --exec 'env'");
    const set = Array.from(stderr.matchAll(/^(TOKENGATE_ALERT_\w+)=/gm), ([, name = '']) => name);
    expect(set.sort()).toEqual([...listed].sort());
  });

  test('the words of --json are the listed ones', async () => {
    await loadSessions(redis, {odd: ['nan']});
    await redis.client.set('anomaly:staging:frozen_until', '2099-01-01T00:00:00');
    await redis.client.set('anomaly:my-workflow:frozen_until', 'x');
    await redis.client.set('tokengate:period:staging', 'x');
    const checking = run('tokengate check-sessions --frozen --overdue --min-left 5 --max-rate 1/m --sample 1s --json');
    const state = {isOver: false};
    void checking.finally(() => (state.isOver = true));
    while (!state.isOver) await redis.client.incrByFloat('session:dev-team:spent', 0.01);
    const {stdout} = await checking;
    const {findings} = JSON.parse(stdout) as {findings: {check: string}[]};
    const listed = PAGE.split('\n').flatMap(
      (line) => /^\| `(\w+)` +\| (?:critical|warning|either)/.exec(line)?.[1] ?? [],
    );
    expect([...new Set(findings.map(({check}) => check))].sort()).toEqual([...listed].sort());
  });

  test('a user with the listed rights can check, also with --new-only', async () => {
    const rights = (text: string): string[] =>
      codesIn(text).map((name) => (name.includes('*') ? `~${name}` : `+${name.toLowerCase()}`));
    const [, reading = '', more = ''] = /^An ACL user that only (.*?)\. For `--new-only` (.*?)\.\n/ms.exec(PAGE) ?? [];
    expect(rights(reading)).toHaveLength(6);
    await redis.client.sendCommand(['ACL', 'SETUSER', 'check', 'on', '>a-password', ...rights(reading)]);
    const url = redis.url.replace('//', '//check:a-password@');
    const command = `TOKENGATE_REDIS_URL=${url} tokengate check-sessions --frozen`;
    expect(await run(command)).toMatchObject({code: 2, stderr: ''});
    expect(await run(`TOKENGATE_REDIS_URL=${url} tokengate print-metrics`)).toMatchObject({code: 0, stderr: ''});
    expect(await run(`${command} --new-only`)).toMatchObject({code: 1, stdout: ''});
    await redis.client.sendCommand(['ACL', 'SETUSER', 'check', ...rights(more)]);
    expect(await run(`${command} --new-only`)).toMatchObject({code: 2, stderr: ''});
    expect(await run(`${command} --new-only`)).toMatchObject({code: 0, stderr: ''});
  });

  test('the rules are ones that Prometheus takes, on metrics that there are', async () => {
    for (const text of below('Prometheus', 'yaml')) {
      const file = join(shell.folder, 'tokengate.rules.yml');
      await writeFile(file, text);
      expect(await promtool(['check', 'rules', file])).toMatchObject({code: 0, stderr: ''});
      const names = await metricNames();
      for (const name of text.match(/\btokengate_\w+/g) ?? []) expect(names).toContain(name);
    }
  });

  test('the metrics are the listed ones', async () => {
    const listed = PAGE.split('\n')
      .filter((line) => line.startsWith('| `tokengate_'))
      .flatMap((line) => codesIn(cellsOf(line)[0] ?? ''));
    const shown =
      below('Prometheus', 'console')
        .join('')
        .match(/^# TYPE (\w+)/gm) ?? [];
    const own = shown.map((line) => line.slice('# TYPE '.length));
    expect([...listed.filter((name) => name !== 'tokengate_session_…'), ...own].sort()).toEqual(await metricNames());
  });

  test('the dashboard is imported by its lines', async () => {
    const grafana = join(shell.folder, 'curl');
    await writeFile(grafana, '#!/bin/sh\nprintf "%s\\n" "$@" > "$HOME/arguments"\ncat > "$HOME/body"\n');
    await chmod(grafana, 0o755);
    for (const text of below('Grafana', 'bash')) {
      const env = {GRAFANA_TOKEN: 'token', GRAFANA_URL: 'https://grafana.test'};
      expect(await run(`cd '${ROOT}docs' && ${text}`, env)).toEqual({code: 0, stdout: '', stderr: ''});
    }
    expect((await readFile(join(shell.folder, 'arguments'), 'utf8')).split('\n')).toContain(
      'https://grafana.test/api/dashboards/db',
    );
    const body = JSON.parse(await readFile(join(shell.folder, 'body'), 'utf8')) as {dashboard: {title: string}};
    expect(body).toMatchObject({overwrite: true, dashboard: {title: 'TokenGate'}});
  });
});

interface Panel {
  id: number;
  type: string;
  title: string;
  datasource: unknown;
  gridPos: {x: number; y: number; w: number; h: number};
  targets: {refId: string; expr: string; datasource: unknown}[];
}

describe('docs/grafana-dashboard.json', () => {
  const load = async (): Promise<{panels: Panel[]; [field: string]: unknown}> =>
    JSON.parse(await readFile(`${ROOT}docs/grafana-dashboard.json`, 'utf8')) as {panels: Panel[]};

  test('has what Grafana needs of a dashboard', async () => {
    const {panels, ...dashboard} = await load();
    expect(dashboard).toMatchObject({
      title: 'TokenGate',
      uid: expect.stringMatching(/^[\w-]{1,40}$/) as string,
      schemaVersion: 39,
      templating: {list: [{name: 'datasource', type: 'datasource', query: 'prometheus'}, {name: 'instance'}]},
      time: {from: 'now-6h', to: 'now'},
    });
    // One that is imported gets an id from Grafana.
    expect(dashboard).not.toHaveProperty('id');
    expect(new Set(panels.map(({id}) => id)).size).toBe(panels.length);
    for (const {type, targets, datasource} of panels) {
      expect(['bargauge', 'stat', 'table', 'timeseries']).toContain(type);
      expect(datasource).toEqual({type: 'prometheus', uid: '${datasource}'});
      for (const target of targets) expect(target.datasource).toEqual(datasource);
      expect(new Set(targets.map(({refId}) => refId)).size).toBe(targets.length);
    }
  });

  test('has panels of its width that do not overlap', async () => {
    const taken = new Set<string>();
    for (const {title, gridPos} of (await load()).panels) {
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken, title).not.toContain(`${x},${y}`);
          taken.add(`${x},${y}`);
        }
      }
    }
  });

  test('asks for metrics that there are, in queries that Prometheus takes', async () => {
    const queries = (await load()).panels.flatMap(({targets}) => targets.map(({expr}) => expr));
    const names = await metricNames();
    const asked = queries.flatMap((query) => query.match(/\btokengate_\w+/g) ?? []);
    expect(names).toEqual(expect.arrayContaining(asked));
    expect(queries.length).toBeGreaterThan(15);
    for (const query of queries) expect(query).toMatch(/\btokengate_/);
    const rules = queries.map((expr, index) => ({record: `query:${index}`, expr: expr.replaceAll('$instance', '.*')}));
    const file = join(shell.folder, 'queries.yml');
    // JSON is YAML too.
    await writeFile(file, JSON.stringify({groups: [{name: 'dashboard', rules}]}));
    expect(await promtool(['check', 'rules', file])).toMatchObject({code: 0, stderr: ''});
  });
});

async function metricNames(): Promise<string[]> {
  await run('tokengate set-period staging --every day --amount 100');
  const {stdout} = await run('tokengate print-metrics');
  return Array.from(stdout.matchAll(/^# TYPE (\w+) gauge$/gm), ([, name = '']) => name).sort();
}
