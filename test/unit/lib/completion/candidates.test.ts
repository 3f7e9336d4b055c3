import {createServer} from 'node:net';

import {expect, test} from 'vitest';

import {complete, type Finders} from '../../../../src/cli/completion/complete.js';
import {makeTable} from '../../../../src/cli/completion/make-table.js';
import {findCandidates} from '../../../../src/lib/completion/candidates.js';
import {JOURNAL_KEY} from '../../../../src/lib/gateway/keys.js';
import {parseRedisUrl} from '../../../../src/lib/redis/url.js';
import {startRedis} from '../../../support/redis/redis-server.js';

/** Milliseconds; longer than a test may take. */
const FOREVER = 10 * 60_000;

test('what would take too long is known long before the time is over', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      for (const [command] of String(data).matchAll(/^(HELLO|DBSIZE|TIME|EXISTS|SCAN)(?=\r$)/gm)) {
        socket.write(command === 'SCAN' ? '*2\r\n$1\r\n7\r\n*0\r\n' : ':9000000000000\r\n');
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const target = parseRedisUrl(`redis://127.0.0.1:${address.port}`);
  const options = {kind: 'sessions', prefix: 'a', isOffered: () => true, limit: 200, limitMs: FOREVER} as const;
  expect(await findCandidates(target, options)).toEqual([]);
  server.close();
});

test('changes are found newest first, each once, with what they are', async () => {
  const redis = await startRedis();
  const add = (change: string, fields: Record<string, string> = {}): Promise<unknown> =>
    redis.client.xAdd(JOURNAL_KEY, '*', {change, command: 'set-budget', actor: 'ops@köln', sessions: '[]', ...fields});
  await add('k7m2q9x4tv');
  await add('bbbbbbbbbb', {command: 'reset-session'});
  await add('bbbbbbbbbb', {command: 'reset-session'});
  await add('k7newer000');
  const find = (prefix: string, limit = 200): Promise<{id: string; summary?: string}[]> =>
    findCandidates(parseRedisUrl(redis.url), {
      kind: 'changes',
      prefix,
      isOffered: (id) => id !== 'hidden',
      limit,
      limitMs: FOREVER,
    });
  expect((await find('')).map(({id}) => id)).toEqual(['k7newer000', 'bbbbbbbbbb', 'k7m2q9x4tv']);
  expect((await find('k7')).map(({id}) => id)).toEqual(['k7newer000', 'k7m2q9x4tv']);
  expect((await find('b'))[0]?.summary).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC reset-session by ops@köln$/);
  expect(await find('none')).toEqual([]);
  for (let index = 0; index < 250; index++) await add(`m${index}`);
  expect((await find('', 200)).map(({id}) => id)).toEqual(Array.from({length: 200}, (_, index) => `m${249 - index}`));
  expect((await find('k7m')).map(({id}) => id)).toEqual(['k7m2q9x4tv']);
  await redis.stop();
});

test('what the names of arguments and values say is where candidates come from', async () => {
  const value = (name: string, more: object = {}): object => ({name, type: 'option', ...more});
  const command = {aliases: [], hiddenAliases: [], summary: 'A command', args: {}, flags: {}};
  const commands = {
    'undo-change': {...command, args: {change_id: {name: 'change_id', multiple: true}}},
    'list-changes': {
      ...command,
      flags: {session: value('session', {helpValue: 'SESSION_ID'}), change: value('change', {helpValue: 'CHANGE_ID'})},
    },
    'print-metrics': {...command, flags: {out: value('out', {helpValue: 'FILE'})}},
    'explain-session': {...command, args: {session_id: {name: 'session_id'}}},
  };
  const table = makeTable([{commands} as unknown as Parameters<typeof makeTable>[0][number]]);
  const at = async (line: string, current = ''): Promise<string> => {
    const asked: string[] = [];
    const ids: Finders['ids'] = ({kind, prefix, isOffered}) => {
      asked.push(`${kind}:${prefix}${isOffered('k7') ? '' : ' but k7'}`);
      return Promise.resolve([]);
    };
    const contexts = (): Promise<string[]> => Promise.resolve(['prod', 'staging']);
    const candidates = await complete(table, {words: line.split(' '), current}, {ids, contexts});
    return candidates === 'files' ? 'files' : asked.join();
  };
  expect(await at('undo-change')).toBe('changes:');
  expect(await at('undo change', 'k')).toBe('changes:k');
  expect(await at('undo-change k7', 'k')).toBe('changes:k but k7');
  expect(await at('list-changes --session', 'te')).toBe('sessions:te');
  expect(await at('list-changes', '--change=k')).toBe('changes:k');
  expect(await at('print-metrics --out')).toBe('files');
  expect(await at('explain-session')).toBe('sessions:');
  expect(await at('explain-session a')).toBe('');
});
