import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {type Certificates, type KeyPair, makeCertificates} from '../support/certificates.js';
import {freePort} from '../support/ports.js';
import {runBinary} from '../support/program/run.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';

const certificates: Certificates = makeCertificates();
const {ca, otherCa, client, expiredClient, strangeClient, lockedKey, both, folder} = certificates;

interface TlsRedis {
  redis: TestRedis;
  /** `rediss://127.0.0.1:…` */
  url: string;
}

const servers: TestRedis[] = [];
let plain: TestRedis;
let good: TlsRedis;
let expired: TlsRedis;
let otherHost: TlsRedis;
let selfSigned: TlsRedis;
/** These want a client certificate, and speak one version of TLS. */
let mutual12: TlsRedis;
let mutual13: TlsRedis;
beforeAll(async () => {
  plain = await startRedis({tcp: true});
  servers.push(plain);
  [good, expired, otherHost, selfSigned, mutual12, mutual13] = await Promise.all([
    startTls(certificates.server),
    startTls(certificates.expired),
    startTls(certificates.otherHost),
    startTls(certificates.selfSigned),
    startTls(certificates.server, '--tls-auth-clients', 'yes', '--tls-protocols', 'TLSv1.2'),
    startTls(certificates.server, '--tls-auth-clients', 'yes', '--tls-protocols', 'TLSv1.3'),
  ]);
});
afterAll(async () => {
  await Promise.all(servers.map((redis) => redis.stop()));
  await certificates.remove();
});

async function startTls({cert, key}: KeyPair, ...args: string[]): Promise<TlsRedis> {
  const port = String(await freePort());
  const files = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', ca];
  const redis = await startRedis({args: ['--tls-port', port, ...files, '--tls-auth-clients', 'no', ...args]});
  servers.push(redis);
  return {redis, url: `rediss://127.0.0.1:${port}`};
}

const HEALTHY = {code: 0, stdout: expect.stringMatching(/^✓ Redis connection healthy\n/) as string, stderr: ''};
const trusting = ['--tls-ca', ca];
const health = (url: string, argv: string[], env: Record<string, string> = {}): ReturnType<typeof runBinary> =>
  runBinary(['health', ...argv], {url, env});

describe.concurrent('TLS works', () => {
  test.each<[name: string, argv: string[], url: () => string, env?: Record<string, string>]>([
    ['with its authority in a flag', trusting, () => good.url],
    ['in a variable', [], () => good.url, {TOKENGATE_TLS_CA: ca}],
    ['in the URL', [], () => `${good.url}?ssl_ca_certs=${ca}`],
    ['in a flag that wins over the URL', trusting, () => `${good.url}?ssl_ca_certs=${otherCa}`],
    ['among those of Node.js', [], () => good.url, {NODE_EXTRA_CA_CERTS: ca}],
    ['by a host name', trusting, () => good.url.replace('127.0.0.1', 'localhost')],
    [
      'with a certificate for another name that is given',
      [...trusting, '--tls-server-name', 'redis.example'],
      () => otherHost.url,
    ],
    ['with its name in a variable', trusting, () => otherHost.url, {TOKENGATE_TLS_SERVER_NAME: 'redis.example'}],
    [
      'with an address for a name',
      [...trusting, '--tls-server-name', '127.0.0.1'],
      () => good.url.replace('127.0.0.1', 'localhost'),
    ],
    ['with a name that is not checked', trusting, () => `${otherHost.url}?ssl_check_hostname=false`],
    ['with a certificate that is not checked', [], () => `${expired.url}?ssl_cert_reqs=none`],
    [
      'with a self-signed certificate that is trusted',
      ['--tls-ca', certificates.selfSigned.cert],
      () => selfSigned.url,
    ],
    [
      'with a client certificate',
      [...trusting, '--tls-cert', client.cert, '--tls-key', client.key],
      () => mutual13.url,
    ],
    ['with that and its key in one file', [...trusting, '--tls-cert', both], () => mutual12.url],
    [
      'with that in variables',
      trusting,
      () => mutual13.url,
      {TOKENGATE_TLS_CERT: client.cert, TOKENGATE_TLS_KEY: client.key},
    ],
    [
      'with that in the URL',
      [],
      () => `${mutual12.url}/1?ssl_ca_certs=${ca}&ssl_certfile=${client.cert}&ssl_keyfile=${client.key}`,
    ],
    [
      'with that in flags that win over the URL',
      [...trusting, '--tls-cert', both],
      () => `${mutual12.url}?ssl_certfile=${strangeClient.cert}&ssl_keyfile=${strangeClient.key}`,
    ],
  ])('%s', async (_, argv, url, env) => {
    expect(await health(url(), argv, env)).toMatchObject(HEALTHY);
  });
});

const CA_HINT = 'Give the certificate of its authority with --tls-ca FILE (or TOKENGATE_TLS_CA).';
const CLIENT_HINT = 'Give one that it trusts with --tls-cert FILE and --tls-key FILE.';
const withClient = ({cert, key}: KeyPair): string[] => [...trusting, '--tls-cert', cert, '--tls-key', key];

describe.concurrent('TLS that is wrong is explained:', () => {
  test.each<[name: string, argv: string[], url: () => string, reason: string, hint: string]>([
    [
      'an authority that is not known',
      [],
      () => good.url,
      "the server's certificate authority is not trusted",
      CA_HINT,
    ],
    [
      'a wrong authority',
      ['--tls-ca', otherCa],
      () => good.url,
      "the server's certificate authority is not trusted",
      CA_HINT,
    ],
    [
      'an expired certificate',
      trusting,
      () => expired.url,
      "the server's certificate has expired",
      'Renew it on the server.',
    ],
    [
      'a certificate for another host',
      trusting,
      () => otherHost.url,
      "the server's certificate is for redis.example, not for 127.0.0.1",
      'If it is the right server, give its name with --tls-server-name.',
    ],
    [
      'a wrong server name',
      [...trusting, '--tls-server-name', 'nobody'],
      () => good.url,
      "the server's certificate is for 127.0.0.1, localhost, not for nobody",
      'If it is the right server, give its name with --tls-server-name.',
    ],
    [
      'a self-signed certificate',
      [],
      () => selfSigned.url,
      "the server's certificate is self-signed",
      'If it is the right one, give it to --tls-ca.',
    ],
    ['no client certificate', trusting, () => mutual12.url, 'the server wants a client certificate', CLIENT_HINT],
    [
      'an expired client certificate',
      withClient(expiredClient),
      () => mutual12.url,
      'the client certificate has expired',
      CLIENT_HINT,
    ],
    [
      'a client certificate of another authority',
      withClient(strangeClient),
      () => mutual12.url,
      'the server does not know the authority of the client certificate',
      CLIENT_HINT,
    ],
  ])('%s', async (_, argv, url, reason, hint) => {
    const address = url().slice('rediss://'.length);
    expect(await health(url(), argv)).toEqual({
      code: 1,
      stdout: '',
      stderr: `Error: TLS to Redis at ${address} failed: ${reason}.\n${hint}\n`,
    });
    const {stderr} = await health(url(), [...argv, '--json']);
    expect(JSON.parse(stderr)).toMatchObject({error: {code: 'REDIS_TLS_FAILED', hint}});
  });

  test.each([
    ['no client certificate', trusting, 'the server wants a client certificate'],
    ['an expired one', withClient(expiredClient), 'the client certificate has expired'],
  ])('%s, by a server that may reset the connection before that is read', async (_, argv, reason) => {
    const {code, stdout, stderr} = await health(mutual13.url, argv);
    expect({code, stdout}).toEqual({code: 1, stdout: ''});
    const failed = `Error: TLS to Redis at ${mutual13.url.slice('rediss://'.length)} failed: `;
    expect([
      `${failed}${reason}.\n${CLIENT_HINT}\n`,
      `${failed}the server closed the connection after the handshake.\n` +
        'It may want a client certificate that it trusts: --tls-cert FILE and --tls-key FILE.\n',
    ]).toContain(stderr);
  });

  test('a plain URL for a port of TLS', async () => {
    const url = good.url.replace('rediss:', 'redis:');
    expect(await health(url, [])).toEqual({
      code: 1,
      stdout: '',
      stderr:
        `Error: The server at ${new URL(url).host} closed the connection at once.\n` +
        'Does it expect TLS? Then use rediss://.\n',
    });
  });

  test('a URL of TLS for a plain port', async () => {
    expect(await health(plain.url.replace('redis:', 'rediss:'), ['--timeout', '1'])).toEqual({
      code: 1,
      stdout: '',
      stderr:
        `Error: Cannot connect to Redis at ${new URL(plain.url).host}: no answer within 1 s.\n` +
        'Is it a TLS port? If not, use redis://; else check the address.\n',
    });
  });

  test.each<[name: string, argv: string[], error: string]>([
    ['a file that is not there', ['--tls-ca', '/nowhere'], "The TLS authority file '/nowhere' does not exist."],
    ['a folder', ['--tls-ca', folder], `The TLS authority file '${folder}' is not a file.`],
    [
      'a key for an authority',
      ['--tls-ca', client.key],
      `The TLS authority file '${client.key}' holds no certificate in PEM form.\nIt begins with -----BEGIN CERTIFICATE-----.`,
    ],
    [
      'a key of another certificate',
      ['--tls-cert', client.cert, '--tls-key', certificates.server.key],
      `The key '${certificates.server.key}' is not that of the client certificate.\nIt has to belong to '${client.cert}'.`,
    ],
    [
      'a locked key',
      ['--tls-cert', client.cert, '--tls-key', lockedKey],
      `The TLS key file '${lockedKey}' is locked with a passphrase.\nUnlock a copy: openssl pkey -in KEY -out COPY`,
    ],
    [
      'no key',
      ['--tls-cert', client.cert],
      `The TLS key file '${client.cert}' holds no private key in PEM form.\nGive its file with --tls-key.`,
    ],
    [
      'a key without its certificate',
      ['--tls-key', client.key],
      'There is a TLS key without its certificate.\nGive the certificate with --tls-cert (or TOKENGATE_TLS_CERT).',
    ],
  ])('%s', async (_, argv, error) => {
    expect(await health(good.url, argv)).toEqual({code: 1, stdout: '', stderr: `Error: ${error}\n`});
  });

  test.each([
    [['--tls-ca', ca], {}],
    [[], {TOKENGATE_TLS_SERVER_NAME: 'redis.example'}],
  ])('settings of TLS for a URL without it: %j %j', async (argv, env) => {
    expect(await health(plain.url, argv, env)).toEqual({
      code: 1,
      stdout: '',
      stderr:
        'Error: There are TLS settings, but the URL does not use TLS.\n' +
        'Write rediss:// instead of redis://, or leave out --tls-… and TOKENGATE_TLS_….\n',
    });
  });
});
