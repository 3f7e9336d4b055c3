import {describe, expect, test} from 'vitest';

import {parseRedisUrl, secretsOfUrl} from '../../src/lib/redis-url.js';

const base = {username: undefined, password: undefined, database: 0};
const tcp = (host: string, port = 6379, tls = false): object => ({socket: {host, port, tls}});

describe('a Redis URL', () => {
  test.each([
    ['redis://localhost', {...base, ...tcp('localhost'), address: 'localhost:6379'}],
    ['redis://h:1/3', {...base, ...tcp('h', 1), database: 3, address: 'h:1'}],
    ['redis://h?db=4', {...base, ...tcp('h'), database: 4, address: 'h:6379'}],
    ['redis://h/1?db=4', {...base, ...tcp('h'), database: 4, address: 'h:6379'}],
    ['redis://h/', {...base, ...tcp('h'), address: 'h:6379'}],
    ['REDISS://h', {...base, ...tcp('h', 6379, true), address: 'h:6379'}],
    [' redis://h\n', {...base, ...tcp('h'), address: 'h:6379'}],
    ['redis://[::1]:1', {...base, ...tcp('::1', 1), address: '[::1]:1'}],
    ['redis://u:p%40ss%2F@h', {...base, ...tcp('h'), username: 'u', password: 'p@ss/', address: 'h:6379'}],
    ['redis://u:p@ss@h', {...base, ...tcp('h'), username: 'u', password: 'p@ss', address: 'h:6379'}],
    ['redis://:pw@h', {...base, ...tcp('h'), password: 'pw', address: 'h:6379'}],
    ['redis://u:a:b@h', {...base, ...tcp('h'), username: 'u', password: 'a:b', address: 'h:6379'}],
    ['unix:///p.sock?db=2', {...base, socket: {path: '/p.sock'}, database: 2, address: '/p.sock'}],
    [
      'unix://u:pw@/a%20b.sock',
      {...base, socket: {path: '/a b.sock'}, username: 'u', password: 'pw', address: '/a b.sock'},
    ],
  ])('%j is understood', (url, target) => {
    expect(parseRedisUrl(url)).toEqual(target);
  });

  test.each([
    ['', 'empty'],
    ['  ', 'empty'],
    ['localhost:6379', 'no scheme'],
    ['127.0.0.1', 'no scheme'],
    ['redis:6379', 'no scheme'],
    ['http://h', 'scheme is not'],
    ['redis+unix:///x', 'scheme is not'],
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
    ['redis://h?timeout=5', 'parameter other than db'],
    ['redis://user@h', 'user name without a password'],
    ['redis://user:@h', 'user name without a password'],
    ['redis://u:s3cret%zz@h', 'percent-encoding'],
    ['redis://u:s3#cret@h', '#'],
    ['unix://relative.sock', 'absolute path'],
    ['unix:///', 'absolute path'],
  ])('%j is refused: %s', (url, why) => {
    expect(() => parseRedisUrl(url)).toThrow(
      expect.objectContaining({code: 'INVALID_REDIS_URL', message: expect.stringContaining(why)}),
    );
  });

  test.each([
    'redis://u:s3cret%zz@h',
    'redis://u:s3cret@h:99999',
    's3cret@h',
    'redis://u:s3cret/x@h',
    'redis://s3cret@h',
  ])('no error holds a part of %j', (url) => {
    expect(() => parseRedisUrl(url)).toThrow(expect.objectContaining({message: expect.not.stringContaining('s3cret')}));
  });
});

describe('the secrets of a URL', () => {
  test.each([
    ['redis://u:p%40ss@h', ['p%40ss', 'p@ss']],
    ['redis://:pw@h', ['pw']],
    ['redis://u:a/b@h', ['a/b']],
    ['redis://u:a@b@h', ['a@b']],
    ['redis://u:%zz@h', ['%zz']],
    ['redis://h', []],
    ['redis://h?x=@', []],
    ['my-workflow', []],
  ])('%j', (url, secrets) => {
    expect(secretsOfUrl(url)).toEqual(secrets);
  });
});
