import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {type Certificates, makeCertificates} from '../../support/certificates.js';
import {type Output, runBinary} from '../../support/program/run.js';
import {startCluster, type TestCluster} from '../../support/redis/cluster.js';
import {startRedis, type TestRedis} from '../../support/redis/redis-server.js';

const TEXTS = {
  'session:a:budget': '10.0',
  'session:a:spent': '2.5',
  'session:b:budget': '100',
  'session:b:spent': '99.5',
  'session:team:c:budget': '7',
  'session:{t}:1:budget': '5',
  'session:{t}:1:spent': '4.9',
  'session:ü\n*:budget': '1e-05',
  'session:orphan:spent': '3',
  'session:bad:budget': 'nan',
  'anomaly:a:frozen_until': '2099-11-22T16:33:12.324963',
  'anomaly:a:freeze_reason': 'Loop: x',
  'anomaly:b:requests:1min': '50',
  'anomaly:b:identical_count': '2',
  'anomaly:b:last_hash': 'abc',
  'anomaly:over:frozen_until': '2020-11-22T16:33:12.324963',
  'anomaly:lone:freeze_reason': 'x',
  'anomaly:z:frozen_until': '2099-11-22T16:33:12.324963Z',
};
const REQUEST = '{"timestamp": "2026-11-22T16:33:12.3", "model": "gpt-4", "cost": 0.0}';

let redis: TestRedis;
let cluster: TestCluster;
let certificates: Certificates;
/** Of the cluster: by TLS, as a user who has only the rights that are documented. */
let url: string;
beforeAll(async () => {
  certificates = makeCertificates();
  const {ca, server} = certificates;
  const rights =
    '~session:* ~anomaly:* ~tokengate:* +@read +@write +eval +time +exists +wait +cluster|slots +cluster|nodes';
  cluster = await startCluster({
    tls: {...server, ca},
    args: ['--user', 'operator', 'on', '>S3cret/pa55', ...rights.split(' ')],
  });
  url = cluster.tlsUrl.replace('://', '://operator:S3cret%2Fpa55@');
  redis = await startRedis({tcp: true});
  await redis.client.mSet(TEXTS);
  await cluster.write(TEXTS);
  for (const owner of [redis, await cluster.primaryOf('session:wrong:budget')]) {
    await owner.client.lPush('session:wrong:budget', '1');
  }
  for (const owner of [redis, await cluster.primaryOf('anomaly:b:history')]) {
    await owner.client.lPush('anomaly:b:history', REQUEST);
  }
});
afterAll(async () => {
  await cluster.stop();
  await redis.stop();
  await certificates.remove();
});

/** Without what differs from run to run, and from server to server. */
const neutralText = (text: string): string =>
  text
    .replaceAll(/127\.0\.0\.1:\d+/g, 'ADDRESS')
    .replaceAll(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?/g, 'TIME')
    .replaceAll(/^(tokengate_\w+_seconds) [\d.e+]+$/gm, '$1 N')
    .replaceAll('role="cluster"', 'role="primary"')
    .replaceAll(/\b[0-9a-z]{10}\b/g, 'CHANGE')
    .replaceAll(/("ttl_ms": )\d+/g, '$1N');
const neutral = ({code, stdout, stderr}: Output): unknown => {
  // SCAN has no order.
  const [lines, errors] = [stdout, stderr].map((text) => neutralText(text).split('\n').sort());
  return {code, lines, errors};
};
const both = async (argv: readonly string[], env: Record<string, string> = {}): Promise<[Output, Output]> =>
  Promise.all([
    runBinary([...argv], {url: redis.url, env}),
    runBinary([...argv], {url, env: {...env, TOKENGATE_TLS_CA: certificates.ca}}),
  ]);
const sessionsOf = async (all: () => Promise<ReadonlyMap<string, string | null>>): Promise<unknown> => {
  const texts = [...(await all())].filter(([key]) => !key.startsWith('tokengate:'));
  return texts.map(([key, text]) => [key, text && neutralText(text)]).sort();
};
const textsOfRedis = async (): Promise<Map<string, string | null>> => {
  const keys = await redis.client.keys('*');
  return new Map(
    await Promise.all(keys.map(async (key) => [key, await redis.client.get(key).catch(() => null)] as const)),
  );
};

/** In this order: each finds what the one before has left. */
const COMMANDS = [
  'get-budget a',
  'get-budget nobody',
  'get-budget wrong',
  'list-sessions',
  'list-sessions --json',
  'list-sessions --where spent>1 --sort used --reverse',
  'list-sessions --frozen --format csv',
  'anomaly-stats b',
  'anomaly-stats a --json',
  'explain-session a',
  'explain-session b',
  'explain-session z',
  'list-requests b',
  'list-requests nobody --json',
  'check-sessions',
  'check-sessions --new-only --json',
  'check-sessions --new-only --json',
  'check-store',
  'check-store --json',
  'print-metrics',
  'watch-sessions --format ndjson --count 2 --interval 1',
  'reset-session --all --dry-run',
  'set-budget a 5',
  'add-budget b 0.1',
  'freeze-session b team:c nobody --reason Bot --for 1000h',
  'unfreeze-session --all --yes',
  'undo-change --last --yes',
  'list-changes',
  'reset-session a --yes',
  'reset-session {t}:1 bad --yes',
  'reset-session wrong --yes',
  'undo-change --last --yes --json',
  'freeze-session --match *b* --yes --format ndjson',
  'check-store --fix --yes',
  'set-budget new 1 --no-journal',
  'list-changes --session a --json',
  'reset-session --all --yes --no-journal --quiet',
];

describe('a cluster with TLS answers as one server does', () => {
  test.each(COMMANDS)('%s', async (line) => {
    const [one, many] = await both(line.split(' '));
    expect(neutral(many)).toEqual(neutral(one));
    expect(await sessionsOf(() => cluster.texts())).toEqual(await sessionsOf(textsOfRedis));
  });
});

test.each(['get-budget ', 'get-budget -- te', 'get-budget b', 'unfreeze-session ', 'undo-change '])(
  'a TAB after "%s" offers what it offers on one server',
  async (typed) => {
    await redis.client.mSet(TEXTS);
    await cluster.write(TEXTS);
    const env = {TOKENGATE_COMPLETE_LINE: `tokengate ${typed}`, TOKENGATE_COMPLETION_MS: '30000'};
    const [one, many] = await both(['__complete', 'zsh'], env);
    expect(neutral(many)).toEqual(neutral(one));
    expect(one.stdout).toContain('values\n');
  },
);

test('no password is printed, by whichever node refuses', async () => {
  const wrong = url.replace('pa55', 'pa56');
  const env = {DEBUG: '*', TOKENGATE_DEBUG: '1', TOKENGATE_TLS_CA: certificates.ca};
  const stranger = cluster.primaries[2]!;
  await stranger.client.sendCommand(['ACL', 'SETUSER', 'operator', 'resetpass', '>S3cret/other']);
  for (const [argv, at] of [
    [['get-budget', 'a'], wrong],
    [['list-sessions'], url],
    [['reset-session', '--all', '--yes'], url],
  ] as const) {
    const {code, stdout, stderr} = await runBinary([...argv], {url: at, env});
    expect({argv, code, isRefused: stderr.includes('rejected the user name or password')}).toEqual({
      argv,
      code: 1,
      isRefused: true,
    });
    expect(stdout + stderr).not.toMatch(/S3cret|pa5[56]/);
  }
});
