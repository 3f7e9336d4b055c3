import {copyFile, readFile} from 'node:fs/promises';
import {join} from 'node:path';

import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import {makeCertificates} from '../support/certificates.js';
import {silent, startServer} from '../support/impostors/servers.js';
import {freePort} from '../support/ports.js';
import {type Output, runBinary} from '../support/program/run.js';
import {loadSessions, makeShell, type Shell} from '../support/program/shell.js';
import {startCluster, type TestCluster} from '../support/redis/cluster.js';
import {portOf, startRedis, type TestRedis} from '../support/redis/redis-server.js';
import {type Sentinels, startSentinels} from '../support/redis/sentinels.js';
import {ROOT} from '../support/root.js';

const DOCUMENT = await readFile(`${ROOT}docs/guides/deployments.md`, 'utf8');
const EXAMPLES = Array.from(DOCUMENT.matchAll(/^## ([^\n]+)\n|^```console\n([^]*?)^```$/gm), ([, heading, text]) => ({
  heading,
  text,
}));

let deployment: Sentinels;
let mutual: TestRedis;
let cluster: TestCluster;
let shell: Shell;
/** What stands in the document, and what it is here: addresses, files and URLs of servers. */
let here: [there: string, here: string][];
const stops: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  const certificates = makeCertificates({names: 'DNS:prod-redis,DNS:localhost'});
  stops.push(() => certificates.remove());
  const {ca, server, client} = certificates;
  const tlsPort = await freePort();
  const files = ['--tls-cert-file', server.cert, '--tls-key-file', server.key, '--tls-ca-cert-file', ca];
  deployment = await startSentinels({
    primaryArgs: ['--tls-port', String(tlsPort), ...files, '--tls-auth-clients', 'no'],
  });
  stops.push(() => deployment.stop());
  const mutualPort = await freePort();
  mutual = await startRedis({args: ['--tls-port', String(mutualPort), ...files]});
  stops.push(() => mutual.stop());
  cluster = await startCluster();
  stops.push(() => cluster.stop());
  const mute = await startServer(silent);
  stops.push(() => mute.stop());
  shell = await makeShell();
  stops.push(() => shell.remove());
  await copyFile(client.cert, join(shell.folder, 'client.pem'));
  await copyFile(client.key, join(shell.folder, 'client.key'));
  await copyFile(ca, join(shell.folder, 'ca.pem'));
  await deployment.primary.client.sendCommand(['ACL', 'SETUSER', 'operator', 'on', '>p@ss/word', '~*', '+@all']);

  const socket = (await deployment.primary.client.configGet('unixsocket'))['unixsocket'] ?? '';
  here = [
    ...deployment.ports.map((port, index): [string, string] => [`sentinel-${index + 1}:26379`, `127.0.0.1:${port}`]),
    ...cluster.primaries.map((node, index): [string, string] => [
      `cluster-${index + 1}:6379`,
      `127.0.0.1:${portOf(node)}`,
    ]),
    ['10.0.0.7:6380', `127.0.0.1:${tlsPort}`],
    ['not for 10.0.0.7', 'not for 127.0.0.1'],
    ['prod-redis:6380', `localhost:${tlsPort}`],
    ['mutual-redis:6380', `localhost:${mutualPort}`],
    ['silent-redis:6379', new URL(mute.url).host],
    ['replica-1:6379', `127.0.0.1:${portOf(deployment.replica)}`],
    ['prod-redis:6379', `127.0.0.1:${portOf(deployment.primary)}`],
    ['redis-cli -h prod-redis', `redis-cli -p ${portOf(deployment.primary)}`],
    ['/run/redis/redis.sock', socket],
    ['/etc/tokengate/', `${shell.folder}/`],
    ['certificate is for prod-redis, not', 'certificate is for prod-redis, localhost, not'],
  ];
});
afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
});
beforeEach(async () => {
  for (const {client} of [deployment.primary, mutual]) await client.flushAll();
  await loadSessions(deployment.primary, {staging: ['100.0']});
  await loadSessions(mutual, {staging: ['100.0']});
  await deployment.primary.client.sendCommand(['WAIT', '1', '0']);
});

const translate = (text: string, pairs: [string, string][]): string => {
  let translated = text;
  for (const [from, to] of pairs) translated = translated.replaceAll(from, to);
  return translated;
};
const neutral = (text: string): string =>
  text
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/g, 'TIME')
    .replaceAll(/^Version: \d+\.\d+\.\d+$/gm, 'Version: VERSION')
    .replaceAll(/^Latency: \d+\.\d ms$/gm, 'Latency: LATENCY');

describe('the examples of docs/guides/deployments.md', () => {
  let heading = '';
  for (const example of EXAMPLES) {
    heading = example.heading ?? heading;
    const {text} = example;
    if (text === undefined) continue;
    test(`below "${heading}" print what is shown`, async () => {
      const commands = text.split('\n').flatMap((line) => (line.startsWith('$ ') ? [line.slice(2)] : []));
      const script = commands.map((command) => `${translate(command, here)}\nprintf '\\0'\n`).join('');
      // A terminal shows both streams, the answer first.
      const {stdout} = await shell.run(`exec 2>&1\n${script}`, {env: {}});
      const outputs = stdout.split('\0');
      const printed = commands.map((command, index) => `$ ${command}\n${outputs[index] ?? ''}`).join('');
      expect(
        neutral(
          translate(
            printed,
            here.map(([there, local]) => [local, there]),
          ),
        ),
      ).toBe(neutral(text));
    });
  }

  test('are found: one below each heading that needs one', () => {
    const blocks = EXAMPLES.filter(({text}) => text !== undefined);
    expect(blocks.length).toBe((DOCUMENT.match(/^```console$/gm) ?? []).length);
    expect(blocks.length).toBeGreaterThan(6);
  });
});

test('every other block of code is one of those', () => {
  expect(DOCUMENT.match(/^```\w+$/gm)?.every((line) => line === '```console')).toBe(true);
});

describe('a user who may only look', () => {
  const [, base = ''] = /resetkeys (.*)/.exec(DOCUMENT) ?? [];
  const BASE = base.replaceAll("'", '').split(' ');
  const rows = Array.from(
    DOCUMENT.matchAll(/^\| `([\w-]+)`[^|]*\| ((?:`[+%]\S+` *)+)\|$/gm),
    ([, command = '', more = '']) => ({
      command,
      more: more.replaceAll('`', '').trim().split(/ +/),
    }),
  );
  const ALL = [...new Set([...BASE, ...rows.flatMap(({more}) => more)])];
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await startRedis();
    await loadSessions(redis, {a: ['10', '1'], b: ['10', '9']});
    const {client} = redis;
    await client.set('anomaly:b:frozen_until', '2099-01-01T00:00:00');
    await client.set('anomaly:b:freeze_reason', 'why');
    await client.set('anomaly:a:identical_count', 'x');
    await client.rPush('anomaly:a:history', '{"timestamp": "2026-11-23T00:00:00", "model": "m", "cost": 0.0}');
    await runBinary(['add-budget', 'a', '5'], redis);
  });
  afterAll(() => redis.stop());

  /** What a command gives a user of these rights alone. */
  const runAs = async (rights: readonly string[], argv: string[]): Promise<Output> => {
    await redis.client.sendCommand(['ACL', 'SETUSER', 'looks', 'reset', 'on', '>s3cret', ...rights]);
    return runBinary(argv, {url: redis.url.replace('unix://', 'unix://looks:s3cret@')});
  };
  const argvOf = (command: string): string[] => [
    command,
    ...(['check-store', 'list-changes'].includes(command) ? [] : ['a']),
  ];

  test.each([
    ['get-budget', 'a'],
    ['list-sessions', '--columns', 'id,budget,spent,frozen,reason'],
    ['list-sessions', '--where', '!frozen'],
    ['anomaly-stats', 'a'],
    ['check-sessions', '--frozen'],
    ['watch-sessions', '--once', '--format', 'ndjson', '--match', 'none'],
  ])('needs no more than is listed first for %s %s', async (...argv) => {
    const expected = await runBinary(argv, redis);
    expect(expected.code).not.toBe(1);
    expect(await runAs(BASE, argv)).toEqual(expected);
  });

  test('measures all but whether Redis takes writes', async () => {
    const namesIn = ({stdout}: Output): string[] => stdout.match(/^# TYPE \w+/gm) ?? [];
    const measured = namesIn(await runAs(BASE, ['print-metrics']));
    const all = namesIn(await runBinary(['print-metrics'], redis));
    expect(all.filter((name) => !measured.includes(name))).toEqual(['# TYPE tokengate_redis_writable']);
  });

  test('finds the other commands in the table', () => {
    expect(rows.map(({command}) => command)).toEqual([
      'explain-session',
      'list-requests',
      'check-store',
      'list-changes',
    ]);
  });

  test.each(rows)('needs what is listed for $command, and no less', async ({command, more}) => {
    const {code, stdout} = await runBinary(argvOf(command), redis);
    expect(code).not.toBe(1);
    expect(await runAs([...BASE, ...more], argvOf(command))).toEqual({code, stdout, stderr: ''});
    for (const right of more) {
      const others = [...BASE, ...more].filter((one) => one !== right);
      expect(await runAs(others, argvOf(command))).toMatchObject({code: 1, stdout: ''});
    }
  });

  test.each([
    ['reset-session', '--all'],
    ['reset-session', '--where', '!frozen'],
    // Not for a time from now on, of which the second may come later.
    ['freeze-session', 'a', '--until', '2099-01-01T00:00:00Z'],
    ['unfreeze-session', '--all'],
    ['check-store', '--fix'],
  ])('can look at what %s %s would do with all of them', async (...argv) => {
    const expected = await runBinary([...argv, '--dry-run'], redis);
    expect(expected.code).not.toBe(1);
    expect(await runAs(ALL, [...argv, '--dry-run'])).toEqual(expected);
  });
});
