import {expect, test} from 'vitest';

import {joinScript, joinText, listScripts, strip} from '../../../../scripts/build/lua.mjs';
import * as scripts from '../../../../src/lib/lua/scripts.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';

let server: TestRedis;
withRedis((own) => ({server} = own));

const toConstant = (name: string): string => name.replaceAll('-', '_').toUpperCase();

test.each(listScripts())('%s is sent as its file says, and Redis compiles it', async (name) => {
  const script = (scripts as Record<string, string>)[toConstant(name)] ?? '';
  expect(script).toBe(strip(joinScript(name)));
  expect(await server.client.scriptLoad(script)).toMatch(/^[0-9a-f]{40}$/);
});

test('all scripts are those of the files', () => {
  expect(Object.keys(scripts).sort()).toEqual(listScripts().map(toConstant).sort());
});

test('an include is taken in once, and before what includes it', () => {
  const lines = joinText('--- @include "change-sessions"\n--- @include "put"\nreturn 1', 'x');
  const code = strip(lines);
  expect(code.split('local function put(')).toHaveLength(2);
  expect(code.indexOf('local function put(')).toBeLessThan(code.indexOf('local function changeSessions('));
});

test('a long bracket, which could hold what looks like a comment, is refused', () => {
  expect(() => strip(joinText('return [[\n-- text\n]]', 'x'))).toThrow('Long brackets');
});
