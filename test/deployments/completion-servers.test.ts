import {chmod, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {makeCertificates} from '../support/certificates.js';
import {freePort} from '../support/ports.js';
import {type Output, runBinary} from '../support/program/run.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';
import {type Sentinels, startSentinels} from '../support/redis/sentinels.js';

const certificates = makeCertificates();
const NOTHING = {code: 0, stdout: '', stderr: ''};
const FOUND = {...NOTHING, stdout: 'values\nteam:alpha nightly\t\n'};

let folder: string;
let redis: TestRedis;
let tlsUrl: string;
let sentinels: Sentinels;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tokengate-servers-'));
  const port = await freePort();
  const {cert, key} = certificates.server;
  const files = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', certificates.ca];
  redis = await startRedis({tcp: true, args: ['--tls-port', String(port), ...files, '--tls-auth-clients', 'yes']});
  tlsUrl = `rediss://127.0.0.1:${port}`;
  sentinels = await startSentinels({
    password: 'watch-me',
    primaryPassword: 'p@ss',
    args: ['--requirepass', 'p@ss', '--masterauth', 'p@ss'],
  });
  for (const {client} of [redis, sentinels.primary]) await client.set('session:team:alpha nightly:budget', '1');
});
afterAll(async () => {
  await sentinels.stop();
  await redis.stop();
  await certificates.remove();
  await rm(folder, {recursive: true});
});

/** Flags that stand in the line, and variables that are set. */
const press = (flags: string, env: Record<string, string> = {}): Promise<Output> =>
  runBinary(['__complete', 'zsh'], {
    env: {TOKENGATE_COMPLETE_LINE: `tokengate ${flags} get-budget tea`, TOKENGATE_COMPLETION_MS: '30000', ...env},
  });

describe('one TAB reaches', () => {
  test('the server of a URL file, and no other', async () => {
    const file = join(folder, 'url');
    await writeFile(file, `${redis.url}\n`, {mode: 0o600});
    expect(await press(`--redis-url-file ${file}`)).toEqual(FOUND);
    expect(await press('', {TOKENGATE_REDIS_URL_FILE: file})).toEqual(FOUND);
    expect(await press(`--redis-url-file ${file}`, {TOKENGATE_REDIS_URL: 'redis://127.0.0.1:1'})).toEqual(FOUND);
    expect(await press(`--redis-url ${redis.url}`, {TOKENGATE_REDIS_URL_FILE: '/nowhere'})).toEqual(FOUND);
    // What the command itself refuses.
    expect(await press('', {TOKENGATE_REDIS_URL_FILE: file, TOKENGATE_REDIS_URL: redis.url})).toEqual(NOTHING);
    await chmod(file, 0o644);
    expect(await press(`--redis-url-file ${file}`)).toEqual(NOTHING);
  });

  test('a server that speaks TLS and wants a certificate', async () => {
    const {ca, client, otherCa} = certificates;
    const own = `--tls-cert ${client.cert} --tls-key=${client.key}`;
    expect(await press(`--redis-url ${tlsUrl} --tls-ca ${ca} ${own}`)).toEqual(FOUND);
    const env = {TOKENGATE_REDIS_URL: tlsUrl, TOKENGATE_TLS_CA: ca, TOKENGATE_TLS_CERT: certificates.both};
    expect(await press('', env)).toEqual(FOUND);
    expect(await press(`--redis-url ${tlsUrl} --tls-ca ${otherCa} ${own}`)).toEqual(NOTHING);
    expect(await press(`--redis-url ${tlsUrl} --tls-ca ${ca}`)).toEqual(NOTHING);
    expect(await press(`--redis-url ${tlsUrl} --tls-ca $(find ca) ${own}`)).toEqual(NOTHING);
    expect(await press(`--redis-url ${tlsUrl} --tls-ca ${ca} ${own} --tls-server-name other.example`)).toEqual(NOTHING);
  });

  test('the primary that Sentinels name', async () => {
    const url = sentinels.url.replace('://', '://:p%40ss@');
    expect(await press(`--redis-url '${url}?sentinel_password=watch-me'`)).toEqual(FOUND);
    expect(await press(`--redis-url '${url}'`)).toEqual(NOTHING);
    expect(await press(`--redis-url '${sentinels.url}?sentinel_password=watch-me'`)).toEqual(NOTHING);
  });
});
