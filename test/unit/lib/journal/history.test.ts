import {beforeEach, describe, expect, test} from 'vitest';

import {type HistoryOptions, type HistoryPart, listChanges} from '../../../../src/lib/journal/history.js';
import type {Redis} from '../../../../src/lib/redis/contract.js';
import {parseSessionId} from '../../../../src/lib/values/session-id.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';

let server: TestRedis;
let redis: Redis;
withRedis((own) => ({server, redis} = own));

interface Written {
  sessions?: string[];
  actor?: string;
  began?: number;
  undoes?: string;
}

async function write(at: number, change: string, {sessions = ['a'], actor = 'me', began, undoes = ''}: Written = {}) {
  await server.client.xAdd('tokengate:journal', `${at}-*`, {
    ...{change, began: String(began ?? ''), command: 'test', actor, reason: '', version: '1', undoes, keys: 'budget'},
    sessions: JSON.stringify(sessions.flatMap((id) => [id, '1', '2'])),
  });
}

async function list(options: Partial<HistoryOptions> = {}): Promise<{pages: HistoryPart[][]; unreadable: string[]}> {
  const pages: HistoryPart[][] = [];
  const unreadable: string[] = [];
  for await (const page of listChanges(redis, {limit: 100, unreadable, ...options})) pages.push(page);
  return {pages, unreadable};
}

/** Each part as the change and its sessions. */
async function told(options?: Partial<HistoryOptions>): Promise<string[]> {
  const {pages} = await list(options);
  return pages.flat().map(({change, records}) => `${change}: ${records.map(({id}) => id).join(' ')}`);
}

describe('what was changed', () => {
  beforeEach(async () => {
    await write(1000, 'c1', {sessions: ['a', 'b'], began: 900});
    await write(1500, 'c2', {actor: 'bob', sessions: ['b']});
    await write(2000, 'c1', {sessions: ['c'], began: 900});
    await write(3000, 'c3', {sessions: ['a'], undoes: 'c2'});
  });

  test.each<[string, Partial<HistoryOptions>, string[]]>([
    ['newest first', {}, ['c3: a', 'c1: c', 'c2: b', 'c1: a b']],
    ['of one session', {session: parseSessionId('a')}, ['c3: a', 'c1: a']],
    ['of one change', {change: 'c1'}, ['c1: c', 'c1: a b']],
    ['of one actor', {actor: 'bob'}, ['c2: b']],
    ['of another actor', {actor: 'me'}, ['c3: a', 'c1: c', 'c1: a b']],
    ['since a moment', {since: new Date(1500)}, ['c3: a', 'c1: c', 'c2: b']],
    ['of the last change', {limit: 1}, ['c3: a']],
    ['of the last two changes, each as a whole', {limit: 2}, ['c3: a', 'c1: c', 'c1: a b']],
    ['of nobody', {actor: 'carol'}, []],
    ['of no change', {change: 'c9'}, []],
  ])('%s', async (_, options, parts) => {
    expect(await told(options)).toEqual(parts);
  });

  test('says what undid it', async () => {
    const {pages} = await list();
    expect(pages.flat().map(({change, undoneBy}) => [change, undoneBy])).toEqual([
      ['c3', [undefined]],
      ['c1', [undefined]],
      // c3 was refused for this session.
      ['c2', [undefined]],
      ['c1', [undefined, undefined]],
    ]);
    await write(3500, 'c4', {sessions: ['b'], undoes: 'c1'});
    expect((await list({change: 'c1'})).pages.flat().map(({undoneBy}) => undoneBy)).toEqual([
      [undefined],
      [undefined, 'c4'],
    ]);
  });

  test('is not undone by what was undone itself', async () => {
    await write(4000, 'c4', {undoes: 'c1'});
    await write(5000, 'c5', {undoes: 'c4'});
    const {pages} = await list({session: parseSessionId('a')});
    expect(pages.flat().map(({change, undoneBy}) => [change, undoneBy])).toEqual([
      ['c5', [undefined]],
      ['c4', ['c5']],
      ['c3', [undefined]],
      ['c1', [undefined]],
    ]);
  });
});

describe('a long journal', () => {
  const fill = async (from: number, count: number, change: string, written: Written = {}): Promise<void> => {
    for (let n = 0; n < count; n++) await write(from + n, change, written);
  };
  /** How many times the journal was read. */
  const counting = (): {counted: Redis; reads: () => number} => {
    let count = 0;
    return {
      counted: {...redis, pipelineBytes: (commands) => (count++, redis.pipelineBytes(commands))},
      reads: () => count,
    };
  };
  const take = async (from: Redis, options: Partial<HistoryOptions>): Promise<number> => {
    let parts = 0;
    for await (const page of listChanges(from, {limit: 100, unreadable: [], ...options})) parts += page.length;
    return parts;
  };

  test('is read no further than what is asked for can be', async () => {
    await fill(1, 450, 'old');
    await write(1000, 'new');
    const {counted, reads} = counting();
    expect(await take(counted, {limit: 1})).toBe(1);
    expect(reads()).toBe(1);
    expect(await take(counted, {change: 'new'})).toBe(1);
    expect(reads()).toBe(2);
    expect(await take(counted, {limit: 3})).toBe(451);
    expect(reads()).toBe(5);
  });

  test('is read as far back as a batch began', async () => {
    await write(10, 'batch', {began: 5});
    await fill(11, 250, 'other');
    await write(1000, 'batch', {began: 5});
    expect(await take(redis, {change: 'batch'})).toBe(2);
    expect(await take(redis, {limit: 1})).toBe(2);
  });

  test('gives no page that has nothing of what is asked for', async () => {
    await write(10, 'wanted');
    await fill(11, 250, 'other');
    expect((await list({change: 'wanted'})).pages).toHaveLength(1);
  });

  test('counts what was not written by this CLI', async () => {
    for (let n = 0; n < 250; n++) await server.client.xAdd('tokengate:journal', `${n + 1}-0`, {a: 'b'});
    expect(await list()).toEqual({
      pages: [],
      unreadable: ['250 entries of the journal were not written by tokengate, and are left out.'],
    });
    await server.client.del('tokengate:journal');
    expect((await list()).unreadable).toEqual([]);
  });
});
