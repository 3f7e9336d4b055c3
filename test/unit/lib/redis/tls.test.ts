import {readFileSync} from 'node:fs';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {checkServerIdentity, type PeerCertificate} from 'node:tls';

import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {explainTls} from '../../../../src/lib/redis/explain-tls.js';
import type {FailureContext} from '../../../../src/lib/redis/failures.js';
import {readTlsOptions} from '../../../../src/lib/redis/tls-files.js';
import type {TlsSettings} from '../../../../src/lib/redis/url.js';
import {type Certificates, makeCertificates} from '../../../support/certificates.js';

const CONTEXT: FailureContext = {
  kind: 'Redis',
  address: 'db:6379',
  timeoutMs: 2500,
  explainTls: undefined,
  secrets: [],
  stage: 'connecting',
};
const ADDRESS = {host: '10.0.0.1', port: 6379};
const PLAIN: TlsSettings = {
  verify: true,
  checkName: true,
  caFile: undefined,
  certFile: undefined,
  keyFile: undefined,
  serverName: undefined,
};

/** `REASON | HINT`; undefined for what is no failure of TLS. */
function told(code: string | undefined, more: object = {}): string | undefined {
  const error = Object.assign(new Error('it failed'), code === undefined ? {} : {code}, more);
  const explained = explainTls(error, CONTEXT);
  if (explained === undefined) return undefined;
  expect(explained).toMatchObject({code: 'REDIS_TLS_FAILED', cause: error});
  expect(explained.message).toMatch(/^TLS to Redis at db:6379 failed: .+\.$/);
  return `${explained.message.slice('TLS to Redis at db:6379 failed: '.length)} | ${explained.hint}`;
}

test('what is wrong with the certificate of the server is told, with what to do', () => {
  const codes = [
    ...['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN'],
    ...['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'UNABLE_TO_GET_ISSUER_CERT', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY'],
    ...['CERT_SIGNATURE_FAILURE', 'CERT_REVOKED'],
  ];
  expect(codes.map((code) => told(code))).toMatchInlineSnapshot(`
    [
      "the server's certificate has expired. | Renew it on the server.",
      "the server's certificate is not valid yet. | Check this machine's clock.",
      "the server's certificate is self-signed. | If it is the right one, give it to --tls-ca.",
      "the server's certificate authority is not trusted. | Give the certificate of its authority with --tls-ca FILE (or TOKENGATE_TLS_CA).",
      "the server's certificate authority is not known. | Give the certificate of its authority with --tls-ca FILE (or TOKENGATE_TLS_CA).",
      "the server's certificate authority is not known. | Give the certificate of its authority with --tls-ca FILE (or TOKENGATE_TLS_CA).",
      "the server's certificate authority is not known. | Give the certificate of its authority with --tls-ca FILE (or TOKENGATE_TLS_CA).",
      "the server's certificate is not signed by that authority. | Give the certificate of its authority with --tls-ca FILE (or TOKENGATE_TLS_CA).",
      "the server's certificate is revoked. | Renew it on the server.",
    ]
  `);
});

test('what the server refuses is told, and what is no TLS at all', () => {
  const codes = [
    ...['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE'],
    ...['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED'],
    ...['ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE', 'ERR_SSL_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE'],
    ...['ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN', 'ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR'],
    ...['ERR_SSL_TLSV1_ALERT_ACCESS_DENIED', 'ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG'],
    ...['ERR_SSL_HTTP_REQUEST', 'ERR_SSL_TLS_RECORD_LAYER_FAILURE', 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION'],
    ...['ERR_SSL_UNSUPPORTED_PROTOCOL', 'ERR_SSL_ODD', 'ERR_TLS_ODD', 'ERR_OSSL_ODD', 'EPROTO'],
  ];
  expect(codes.map((code) => told(code))).toMatchInlineSnapshot(`
    [
      "the server wants a client certificate. | Give one that it trusts with --tls-cert FILE and --tls-key FILE.",
      "the server wants a client certificate. | Give one that it trusts with --tls-cert FILE and --tls-key FILE.",
      "the server does not know the authority of the client certificate. | Give one that it trusts with --tls-cert FILE and --tls-key FILE.",
      "the client certificate has expired. | Give one that it trusts with --tls-cert FILE and --tls-key FILE.",
      "the server refused the client certificate. | Give one that it trusts with --tls-cert FILE and --tls-key FILE.",
      "the server refused the client certificate. | Give one that it trusts with --tls-cert FILE and --tls-key FILE.",
      "the server refused the client certificate. | Give one that it trusts with --tls-cert FILE and --tls-key FILE.",
      "the server refused the client certificate. | Give one that it trusts with --tls-cert FILE and --tls-key FILE.",
      "the server refused the client certificate. | Give one that it trusts with --tls-cert FILE and --tls-key FILE.",
      "it does not speak TLS. | If it is a plain port, use redis:// in place of rediss://.",
      "it does not speak TLS. | If it is a plain port, use redis:// in place of rediss://.",
      "it does not speak TLS. | If it is a plain port, use redis:// in place of rediss://.",
      "it does not speak TLS. | If it is a plain port, use redis:// in place of rediss://.",
      "the server speaks no version of TLS that is in use. | It has to know TLS 1.2 or 1.3.",
      "the server speaks no version of TLS that is in use. | It has to know TLS 1.2 or 1.3.",
      "ERR_SSL_ODD. | See the log of the server.",
      "ERR_TLS_ODD. | See the log of the server.",
      "ERR_OSSL_ODD. | See the log of the server.",
      "EPROTO. | See the log of the server.",
    ]
  `);
  expect(told(undefined, {message: 'an SSL\nerror'})).toBe('an SSL error. | See the log of the server.');
});

test.each(['ECONNREFUSED', 'XERR_SSL_ODD', 'ERR_ODD_SSL_', 'EPROTOTYPE', undefined])(
  '%s is no failure of TLS',
  (code) => {
    expect(told(code)).toBeUndefined();
    expect(told(code, {message: 'OpenSSLish'})).toBeUndefined();
  },
);

test('what is no error is no failure of TLS', () => {
  expect(explainTls('CERT_HAS_EXPIRED', CONTEXT)).toBeUndefined();
});

test.each([
  [{subjectaltname: 'DNS:a.example, IP Address:10.0.0.2'}, 'a.example, 10.0.0.2'],
  [{subject: {CN: 'b.example'}}, 'b.example'],
  [{subject: {CN: 'b\nexample'}}, 'b example'],
  [{subject: {}}, 'another name'],
  [undefined, 'another name'],
])('a certificate for another server, %j, is for %s', (cert, names) => {
  expect(told('ERR_TLS_CERT_ALTNAME_INVALID', {host: 'db', cert})).toBe(
    `the server's certificate is for ${names}, not for db. | If it is the right server, give its name with --tls-server-name.`,
  );
});

describe('the settings of TLS', () => {
  test('verify a server by its name, and take none but an IP address for a name', async () => {
    const byName = await readTlsOptions(PLAIN, {host: 'db.example', port: 1});
    expect(byName).toMatchObject({rejectUnauthorized: true, servername: 'db.example'});
    expect(byName).not.toHaveProperty('ca');
    const certificate = {subjectaltname: 'DNS:db.example', subject: {}} as PeerCertificate;
    expect(byName.checkServerIdentity?.('other', certificate)).toBeUndefined();
    expect(await readTlsOptions(PLAIN, ADDRESS)).not.toHaveProperty('servername');
    const byIp = await readTlsOptions(PLAIN, ADDRESS);
    expect(byIp.checkServerIdentity?.('db.example', certificate)).toEqual(checkServerIdentity('10.0.0.1', certificate));
    const named = await readTlsOptions({...PLAIN, serverName: 'db.example'}, ADDRESS);
    expect(named).toMatchObject({servername: 'db.example'});
    expect(named.checkServerIdentity?.('10.0.0.1', certificate)).toBeUndefined();
    expect(await readTlsOptions(PLAIN, {path: '/run/redis.sock'})).toMatchObject({servername: ''});
  });

  test('verify nothing, or no name, where that was asked for', async () => {
    const lax = await readTlsOptions({...PLAIN, verify: false, checkName: false}, ADDRESS);
    expect(lax.rejectUnauthorized).toBe(false);
    expect(lax.checkServerIdentity?.('x', {subject: {CN: 'y'}} as PeerCertificate)).toBeUndefined();
  });
});

describe('the files of TLS', () => {
  let made: Certificates;
  let folder: string;
  const text = (file: string): string => readFileSync(file, 'utf8');
  beforeAll(async () => {
    made = makeCertificates();
    folder = await mkdtemp(join(tmpdir(), 'tokengate-tls-files-'));
    await writeFile(join(folder, 'large.pem'), text(made.ca) + '\n'.repeat(1024 * 1024 + 1 - text(made.ca).length));
    await writeFile(join(folder, 'full.pem'), text(made.ca) + '\n'.repeat(1024 * 1024 - text(made.ca).length));
    await writeFile(join(folder, 'none.pem'), 'no certificate');
    await writeFile(join(folder, 'broken.pem'), '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
  });
  afterAll(async () => {
    await Promise.all([made.remove(), rm(folder, {recursive: true})]);
  });

  test('are read', async () => {
    const {client} = made;
    const settings = {...PLAIN, caFile: made.ca, certFile: client.cert, keyFile: client.key};
    expect(await readTlsOptions(settings, ADDRESS)).toMatchObject({
      ca: text(made.ca),
      cert: text(client.cert),
      key: text(client.key),
    });
    expect(await readTlsOptions({...PLAIN, certFile: made.both}, ADDRESS)).toMatchObject({
      cert: text(made.both),
      key: text(made.both),
    });
    expect(await readTlsOptions({...PLAIN, caFile: join(folder, 'full.pem')}, ADDRESS)).toHaveProperty('ca');
  });

  test('are refused when they are not what they should be', async () => {
    const {client, server, lockedKey} = made;
    const failures: string[] = [];
    const short = (line: string): string => line.replaceAll(folder, 'FOLDER').replaceAll(made.folder, 'MADE');
    for (const settings of [
      {caFile: join(folder, 'nowhere.pem')},
      {caFile: join(folder, 'none.pem', 'x')},
      {caFile: folder},
      {caFile: join(folder, 'x'.repeat(300))},
      {caFile: join(folder, 'large.pem')},
      {caFile: join(folder, 'none.pem')},
      {caFile: join(folder, 'broken.pem')},
      {certFile: client.key},
      {certFile: client.cert},
      {certFile: client.cert, keyFile: join(folder, 'nowhere.key')},
      {certFile: client.cert, keyFile: lockedKey},
      {certFile: client.cert, keyFile: server.key},
    ]) {
      await readTlsOptions({...PLAIN, ...settings}, ADDRESS).catch((error: unknown) => {
        expect(error).toMatchObject({code: 'INVALID_TLS_FILE'});
        const {message, hint} = error as {message: string; hint?: string};
        failures.push(short(`${message}${hint === undefined ? '' : ` | ${hint}`}`).replace(/x{300}/, 'LONG'));
      });
    }
    expect(failures).toMatchInlineSnapshot(`
      [
        "The TLS authority file 'FOLDER/nowhere.pem' does not exist.",
        "The TLS authority file 'FOLDER/none.pem/x' does not exist.",
        "The TLS authority file 'FOLDER' is not a file.",
        "The TLS authority file 'FOLDER/LONG' cannot be read.",
        "The TLS authority file 'FOLDER/large.pem' is larger than 1 MiB.",
        "The TLS authority file 'FOLDER/none.pem' holds no certificate in PEM form. | It begins with -----BEGIN CERTIFICATE-----.",
        "The TLS authority file 'FOLDER/broken.pem' holds no certificate in PEM form. | It begins with -----BEGIN CERTIFICATE-----.",
        "The TLS client certificate file 'MADE/client.key' holds no certificate in PEM form. | It begins with -----BEGIN CERTIFICATE-----.",
        "The TLS key file 'MADE/client.crt' holds no private key in PEM form. | Give its file with --tls-key.",
        "The TLS key file 'FOLDER/nowhere.key' does not exist.",
        "The TLS key file 'MADE/locked.key' is locked with a passphrase. | Unlock a copy: openssl pkey -in KEY -out COPY",
        "The key 'MADE/server.key' is not that of the client certificate. | It has to belong to 'MADE/client.crt'.",
      ]
    `);
  });
});
