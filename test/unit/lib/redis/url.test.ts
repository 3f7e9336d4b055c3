import {describe, expect, test} from 'vitest';

import {addressOf, parseRedisUrl, secretsOfUrl, type TlsFiles, withTlsFiles} from '../../../../src/lib/redis/url.js';

const NOBODY = {username: undefined, password: undefined};
const base = {sentinel: undefined, credentials: NOBODY, database: 0, tls: undefined};
const TLS = {
  verify: true,
  checkName: true,
  caFile: undefined,
  certFile: undefined,
  keyFile: undefined,
  serverName: undefined,
};
const tcp = (host: string, port = 6379): object => ({endpoints: [{host, port}]});
const as = (username: string | undefined, password: string): object => ({credentials: {username, password}});
const watched = (primary: string, credentials: object = NOBODY): object => ({sentinel: {primary, credentials}});

describe('a Redis URL', () => {
  test.each([
    ['redis://localhost', {...base, ...tcp('localhost')}],
    ['redis://h:1/3', {...base, ...tcp('h', 1), database: 3}],
    ['redis://h?db=4', {...base, ...tcp('h'), database: 4}],
    ['redis://h/1?db=4', {...base, ...tcp('h'), database: 4}],
    ['redis://h/', {...base, ...tcp('h')}],
    ['REDISS://h', {...base, ...tcp('h'), tls: TLS}],
    [' redis://h\n', {...base, ...tcp('h')}],
    ['redis://[::1]:1', {...base, ...tcp('::1', 1)}],
    ['redis://u:p%40ss%2F@h', {...base, ...tcp('h'), ...as('u', 'p@ss/')}],
    ['redis://u:p@ss@h', {...base, ...tcp('h'), ...as('u', 'p@ss')}],
    ['redis://:pw@h', {...base, ...tcp('h'), ...as(undefined, 'pw')}],
    ['redis://u:a:b@h', {...base, ...tcp('h'), ...as('u', 'a:b')}],
    ['unix:///p.sock?db=2', {...base, endpoints: [{path: '/p.sock'}], database: 2}],
    ['unix://u:pw@/a%20b.sock', {...base, endpoints: [{path: '/a b.sock'}], ...as('u', 'pw')}],
    ['rediss://h?ssl_cert_reqs=required', {...base, ...tcp('h'), tls: TLS}],
    ['rediss://h?ssl_cert_reqs=optional', {...base, ...tcp('h'), tls: TLS}],
    ['rediss://h?ssl_cert_reqs=none', {...base, ...tcp('h'), tls: {...TLS, verify: false, checkName: false}}],
    ['rediss://h?ssl_check_hostname=False', {...base, ...tcp('h'), tls: {...TLS, checkName: false}}],
    ['rediss://h?ssl_check_hostname=1', {...base, ...tcp('h'), tls: TLS}],
    [
      'rediss://h/2?ssl_ca_certs=/a%20b.pem&ssl_certfile=c+d.pem&ssl_keyfile=k.pem',
      {
        ...base,
        ...tcp('h'),
        database: 2,
        tls: {...TLS, caFile: '/a b.pem', certFile: 'c d.pem', keyFile: 'k.pem'},
      },
    ],
    ['redis+sentinel://h/main', {...base, ...tcp('h', 26_379), ...watched('main')}],
    [
      'redis+sentinel://u:p%40ss@a:1,[::1]:2,c/main/3',
      {
        ...base,
        endpoints: [
          {host: 'a', port: 1},
          {host: '::1', port: 2},
          {host: 'c', port: 26_379},
        ],
        ...as('u', 'p@ss'),
        ...watched('main'),
        database: 3,
      },
    ],
    [
      'rediss+sentinel://h/main?db=1&sentinel_username=s&sentinel_password=p%2Fw',
      {
        ...base,
        ...tcp('h', 26_379),
        ...watched('main', {username: 's', password: 'p/w'}),
        database: 1,
        tls: TLS,
      },
    ],
    ['redis://h:65535/12', {...base, ...tcp('h', 65_535), database: 12}],
    ['redis://h:1', {...base, ...tcp('h', 1)}],
    ['rediss://h?ssl_check_hostname=YES', {...base, ...tcp('h'), tls: TLS}],
    ['rediss://h?ssl_check_hostname=0', {...base, ...tcp('h'), tls: {...TLS, checkName: false}}],
  ])('%j is understood', (url, target) => {
    expect(parseRedisUrl(url)).toStrictEqual(target);
  });

  test.each([
    ['', 'empty'],
    ['  ', 'empty'],
    ['localhost:6379', 'no scheme'],
    ['127.0.0.1', 'no scheme'],
    ['redis:6379', 'no scheme'],
    ['http://h', 'scheme is none of'],
    ['redis+unix:///x', 'scheme is none of'],
    ['redis://', 'host is missing'],
    ['redis:///2', 'host is missing'],
    ['redis://:6379', 'host is missing'],
    ['redis://h:0', 'port'],
    ['redis://h:99999', 'port'],
    ['redis://h:x', 'host and port'],
    ['redis://a:b:c', 'host and port'],
    ['redis://::1', 'host and port'],
    ['redis://h/abc', 'database'],
    ['redis://h/-1', 'database'],
    ['redis://h/1.5', 'database'],
    ['redis://h/0/1', 'database'],
    ['redis://h?db=', 'database'],
    ['redis://h/x?db=1', 'database'],
    ['redis://h?timeout=5', 'parameter other than db.'],
    ['rediss://h?timeout=5', 'parameter other than db, ssl_cert_reqs'],
    ['redis+sentinel://h/m?timeout=5', 'parameter other than db, sentinel_username, sentinel_password.'],
    ['redis://h?db=1&db=2', 'db twice'],
    ['redis://h?ssl_ca_certs=/ca', 'not one of TLS'],
    ['unix:///p.sock?ssl_cert_reqs=none', 'not one of TLS'],
    ['rediss://h?ssl_cert_reqs=maybe', 'ssl_cert_reqs is not'],
    ['rediss://h?ssl_check_hostname=perhaps', 'ssl_check_hostname is not'],
    ['rediss://h?ssl_ca_certs=', 'ssl_ca_certs is empty'],
    ['rediss://h?ssl_ca_certs=%zz', 'percent-encoding'],
    ['rediss://h?ssl_keyfile=/k', 'ssl_keyfile without ssl_certfile'],
    ['redis://a,b', 'several hosts'],
    ['redis://a:1,b:2/0', 'several hosts'],
    ['redis://h?sentinel_password=x', 'scheme is not redis+sentinel'],
    ['redis+sentinel://h', "primary's name is missing, as in redis+sentinel://host:26379/mymaster"],
    ['redis+sentinel://h/', "primary's name is missing"],
    ['redis+sentinel:///main', 'host is missing'],
    ['redis+sentinel://a,,b/main', 'host is missing'],
    ['redis+sentinel://a/main/x', 'database'],
    ['redis+sentinel://a/main/1/2', 'more after the host'],
    ['redis+sentinel://a/ma%20in', 'space or a control character'],
    ['redis+sentinel://a/main?sentinel_username=u', 'without sentinel_password'],
    ['redis://user@h', 'user name without a password'],
    ['redis://user:@h', 'user name without a password'],
    ['redis://u:s3cret%zz@h', 'percent-encoding'],
    ['redis://u:s3#cret@h', '#'],
    ['unix://relative.sock', 'absolute path'],
    ['unix:///', 'absolute path'],
    ['unix://', 'absolute path'],
    ['unix://host/path.sock', 'absolute path'],
    ['2redis://h', 'no scheme'],
    ['-redis://h', 'no scheme'],
    ['http://h', 'redis, rediss, unix, redis+sentinel, rediss+sentinel.'],
    ['redis://h:65536', 'port'],
    ['redis://h/1234567890', 'database'],
    ['redis://h/1x', 'database'],
    ['redis+sentinel://a/ma%20in', "the primary's name holds"],
    ['rediss://h?ssl_check_hostname=untrue', 'ssl_check_hostname is not'],
    ['rediss://h?ssl_check_hostname=10', 'ssl_check_hostname is not'],
  ])('%j is refused: %s', (url, why) => {
    expect(() => parseRedisUrl(url)).toThrow(
      expect.objectContaining({
        code: 'INVALID_REDIS_URL',
        message: expect.stringContaining(why),
        hint:
          'Write redis://[user:password@]host[:port][/db], rediss://… for TLS, unix:///path/to.sock[?db=N], ' +
          'or redis+sentinel://host[:port],…/primary[/db].',
      }),
    );
  });

  test.each([
    'redis://u:s3cret%zz@h',
    'redis://u:s3cret@h:99999',
    's3cret@h',
    'redis://u:s3cret/x@h',
    'redis://s3cret@h',
    'redis+sentinel://h/main?sentinel_password=s3cret%zz',
    'redis+sentinel://h/main?sentinel_pasword=s3cret',
  ])('no error holds a part of %j', (url) => {
    expect(() => parseRedisUrl(url)).toThrow(expect.objectContaining({message: expect.not.stringContaining('s3cret')}));
  });
});

describe('settings of TLS beside the URL', () => {
  const URL_FILES = 'ssl_ca_certs=url.ca&ssl_certfile=url.crt&ssl_keyfile=url.key';
  const tlsOf = (url: string, files?: TlsFiles): unknown => withTlsFiles(parseRedisUrl(url), files).tls;

  test.each<[string, TlsFiles | undefined, object]>([
    ['rediss://h', {caFile: 'ca'}, {caFile: 'ca'}],
    ['rediss://h', {certFile: 'crt'}, {certFile: 'crt'}],
    ['rediss://h', {certFile: 'crt', keyFile: 'key'}, {certFile: 'crt', keyFile: 'key'}],
    ['rediss://h?ssl_check_hostname=no', {serverName: 'db'}, {checkName: false, serverName: 'db'}],
    [`rediss://h?${URL_FILES}`, undefined, {caFile: 'url.ca', certFile: 'url.crt', keyFile: 'url.key'}],
    [
      `rediss://h?${URL_FILES}`,
      {serverName: 'db'},
      {caFile: 'url.ca', certFile: 'url.crt', keyFile: 'url.key', serverName: 'db'},
    ],
    [`rediss://h?${URL_FILES}`, {caFile: 'ca'}, {caFile: 'ca', certFile: 'url.crt', keyFile: 'url.key'}],
    [`rediss://h?${URL_FILES}`, {keyFile: 'key'}, {caFile: 'url.ca', certFile: 'url.crt', keyFile: 'key'}],
    // The URL's key is none of another certificate.
    [`rediss://h?${URL_FILES}`, {certFile: 'crt'}, {caFile: 'url.ca', certFile: 'crt', keyFile: undefined}],
  ])('win over those of %s: %j', (url, files, settings) => {
    expect(tlsOf(url, files)).toEqual({...TLS, ...settings});
  });

  test('are none where all are left out, and change nothing else', () => {
    const [plain, secure] = [parseRedisUrl('redis://u:p@h/3'), parseRedisUrl('rediss://u:p@h/3')];
    const nothing = {caFile: undefined, certFile: undefined, keyFile: undefined, serverName: undefined};
    expect([withTlsFiles(plain), withTlsFiles(plain, nothing), withTlsFiles(secure, nothing)]).toEqual([
      ...[plain, plain, secure],
    ]);
    expect(withTlsFiles(secure, {serverName: 'db'})).toEqual({...secure, tls: {...TLS, serverName: 'db'}});
  });

  test.each<[string, TlsFiles, string]>([
    ['redis://h', {caFile: 'ca'}, 'There are TLS settings, but the URL does not use TLS.'],
    ['unix:///s', {serverName: 'db'}, 'There are TLS settings, but the URL does not use TLS.'],
    ['rediss://h', {keyFile: 'key'}, 'There is a TLS key without its certificate.'],
  ])('are refused for %s: %j', (url, files, message) => {
    const hint = expect.stringContaining(message.includes('key') ? '--tls-cert' : 'rediss://');
    expect(() => tlsOf(url, files)).toThrow(expect.objectContaining({code: 'INVALID_USAGE', message, hint}));
  });
});

describe('the secrets of a URL', () => {
  test.each([
    ['redis://u:p%40ss@h', ['p%40ss', 'p@ss']],
    ['redis://:pw@h', ['pw']],
    ['redis://u:a/b@h', ['a/b']],
    ['redis://u:a@b@h', ['a@b']],
    ['redis://u:%zz@h', ['%zz']],
    ['redis+sentinel://u:a@h/m?sentinel_password=b%2Fb', ['b%2Fb', 'b/b', 'a']],
    ['redis://h', []],
    ['redis://h?x=@', []],
    ['my-workflow', []],
  ])('%j', (url, secrets) => {
    expect(secretsOfUrl(url)).toEqual(secrets);
  });
});

test.each([
  [{host: 'h', port: 1}, 'h:1'],
  [{host: '::1', port: 6379}, '[::1]:6379'],
  [{path: '/p.sock'}, '/p.sock'],
])('%j is shown as %s', (endpoint, address) => {
  expect(addressOf(endpoint)).toBe(address);
});

test.each([
  ['redis://u:pa/ss@h', ['pa/ss']],
  ['redis://u:a+b@h', ['a+b', 'a b']],
  ['redis+sentinel://h/m?sentinel_password=a%2Bb&x=1', ['a%2Bb', 'a+b']],
  ['redis://h/m?sentinel_password=', []],
  ['redis://h', []],
  ['no URL', []],
])('the secrets of %j are %j', (url, secrets) => {
  expect(secretsOfUrl(url)).toEqual(secrets);
});
