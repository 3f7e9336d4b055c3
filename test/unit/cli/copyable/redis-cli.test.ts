import {expect, test} from 'vitest';

import {redisCliOptions} from '../../../../src/cli/copyable/redis-cli.js';
import type {ConnectOptions} from '../../../../src/lib/redis/connect.js';
import type {ServerInfo} from '../../../../src/lib/redis/contract.js';

const server: ServerInfo = {role: 'primary', address: 'h:1', database: 0, version: undefined, primary: undefined};
const options = (url: string, about: Partial<ServerInfo> = {}, tls?: ConnectOptions['tls']): string =>
  redisCliOptions({url, tls}, {...server, ...about}).join(' ');

test.each([
  ['redis://localhost:6379', ''],
  ['redis://127.0.0.1/0', ''],
  ['redis://localhost:7811/2', '-p 7811 -n 2'],
  ['redis://prod-redis?db=3', '-h prod-redis -n 3'],
  ['redis://[::1]:6380', '-h ::1 -p 6380'],
  ['unix:///run/redis.sock?db=1', '-s /run/redis.sock -n 1'],
  ['redis://:hunter2@h', '-h h --askpass'],
  ['redis://ops%40eu:hunter2@h', '-h h --user ops@eu --askpass'],
  ['rediss://h', '-h h --tls'],
  ['rediss://h?ssl_cert_reqs=none', '-h h --tls --insecure'],
  [
    'rediss://h?ssl_ca_certs=/ca.pem&ssl_certfile=/c.pem&ssl_keyfile=/k.pem',
    '-h h --tls --cacert /ca.pem --cert /c.pem --key /k.pem',
  ],
  ['rediss://h?ssl_certfile=/both.pem', '-h h --tls --cert /both.pem --key /both.pem'],
])('%s is reached by redis-cli with: %s', (url, words) => {
  expect(options(url)).toBe(words);
});

test('files of TLS that were given beside the URL count', () => {
  const files = {caFile: 'ca.pem', serverName: 'inner'};
  expect(options('rediss://h', {}, files)).toBe('-h h --tls --cacert ca.pem --sni inner');
});

test('behind Sentinels it is the primary that they have named', () => {
  const url = 'redis+sentinel://s1:26379,s2:26379/main/2?sentinel_password=hunter2';
  expect(options(url, {address: '10.0.0.7:6379'})).toBe('-h 10.0.0.7 -n 2');
  expect(options(url, {address: '[fe80::1]:6380'})).toBe('-h fe80::1 -p 6380 -n 2');
});

test('on a cluster it follows redirections', () => {
  expect(options('redis://node-1:7000', {role: 'cluster'})).toBe('-h node-1 -p 7000 -c');
});
