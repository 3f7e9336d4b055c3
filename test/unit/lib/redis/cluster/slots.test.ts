import fc from 'fast-check';
import {expect, test} from 'vitest';

import {parseOwnSlots, parseRedirection, parseSlots, slotOf} from '../../../../../src/lib/redis/cluster/slots.js';
import {freePort} from '../../../../support/ports.js';
import {startRedis} from '../../../../support/redis/redis-server.js';

const asked = {host: 'here', port: 1};

test('the slot of any key is the one that Redis gives it', async () => {
  const redis = await startRedis({args: ['--cluster-enabled', 'yes', '--cluster-port', String(await freePort())]});
  try {
    const named = ['', 'a', '123456789', '{a}b', '{}a', 'x{a}{b}', '{a', 'a}', '}{a}', 'a{}{b}', '{{a}}', 'ü{ß}'];
    const text = fc.array(fc.constantFrom('{', '}', 'a', 'b', 'ü'), {maxLength: 8}).map((parts) => parts.join(''));
    const keys = [...named, ...fc.sample(text, 500)];
    const slots = await Promise.all(keys.map((key) => redis.client.sendCommand(['CLUSTER', 'KEYSLOT', key])));
    expect(keys.map((key) => [key, slotOf(key)])).toEqual(keys.map((key, index) => [key, slots[index]]));
    expect(slotOf(Buffer.from('{\xff}a', 'latin1'))).toBe(slotOf(Buffer.from('{\xff}b', 'latin1')));
  } finally {
    await redis.stop();
  }
});

test('a node that does not know its own address is where it was asked', () => {
  for (const host of [null, '', '?']) {
    const {owners, primaries} = parseSlots([[5, 7, [host, 7000, 'id', []], ['10.0.0.2', 7001, 'id2', []]]], asked);
    expect(owners.slice(4, 9)).toEqual([undefined, 'here:7000', 'here:7000', 'here:7000', undefined]);
    expect(primaries.get('here:7000')?.replicas).toEqual([{host: '10.0.0.2', port: 7001}]);
  }
});

test('slots that are on the move are told apart from those that a node owns', () => {
  const lines = [
    'a 127.0.0.1:7001@17001 master - 0 1 2 connected 100-200',
    'b 127.0.0.1:7000@17000 myself,master - 3 4 5 connected 10-12 15 [12->-a] [150-<-a]',
  ];
  expect(parseOwnSlots(`${lines.join('\n')}\n`)).toEqual({
    owned: new Set([10, 11, 12, 15]),
    leaving: new Set([12]),
    arriving: new Set([150]),
  });
});

test('what names no node of its own owns nothing', () => {
  for (const reply of [
    '',
    'a 127.0.0.1:7001@17001 master - 0 1 2 connected 100-200',
    'a b master,myselfish - 0 0 1 c 1',
  ]) {
    expect(parseOwnSlots(reply)).toEqual({owned: new Set(), leaving: new Set(), arriving: new Set()});
  }
});

test('without a host, a node that was asked by its socket is on this machine', () => {
  expect(parseRedirection('MOVED 1 :6381', {path: '/run/redis.sock'})?.endpoint).toEqual({
    host: '127.0.0.1',
    port: 6381,
  });
});

test.each([
  ['MOVED 3999 10.0.0.7:6381', 'MOVED', {host: '10.0.0.7', port: 6381}],
  ['ASK 3999 :6381', 'ASK', {host: 'here', port: 6381}],
  ['MOVED 1 ?:6381', 'MOVED', {host: 'here', port: 6381}],
  ['MOVED 1 ::1:6381', 'MOVED', {host: '::1', port: 6381}],
  ['MOVED 1 [::1]:6381', 'MOVED', {host: '::1', port: 6381}],
  ['MOVED 1 a[1]b:6381', 'MOVED', {host: 'a[1]b', port: 6381}],
  ['MOVED 1 redis.example:6381', 'MOVED', {host: 'redis.example', port: 6381}],
])('%s is read', (message, kind, endpoint) => {
  expect(parseRedirection(message, asked)).toEqual({kind, endpoint});
});

test.each(['CLUSTERDOWN Hash slot not served', 'ERR MOVED 1 a:1', 'MOVED', 'MOVED x a:1', 'ASK 1 a:b', 'ASK 1 a:1 b'])(
  '%s is no redirection',
  (message) => {
    expect(parseRedirection(message, asked)).toBeUndefined();
  },
);
