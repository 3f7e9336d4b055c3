import {Config} from '@oclif/core';
import fc from 'fast-check';
import {afterAll, beforeAll, expect} from 'vitest';

import {fuzz, anyText, UNSAFE} from '../support/fuzz.js';
import {runBinary, runCommand} from '../support/program/run.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';
import {ROOT} from '../support/root.js';

let redis: TestRedis;
beforeAll(async () => {
  redis = await startRedis();
  await redis.client.mSet({'session:x:budget': '10', 'session:x:spent': '9.5', 'session:y z:budget': '1'});
});
afterAll(() => redis.stop());

const {commands} = await Config.load(ROOT);
const ours = commands.filter(({id, pluginName}) => pluginName === 'tokengate' && id !== 'watch-sessions');
const flagNames = [...new Set(ours.flatMap(({flags}) => Object.keys(flags)))]
  // What would wait, write a file or start a program.
  .filter((name) => !['out', 'exec', 'webhook-file', 'interval', 'watch'].includes(name));

const value = fc.oneof(
  fc.constantFrom(
    'x',
    'y z',
    '5',
    '-5',
    '0',
    '1e5',
    'json',
    'csv',
    'ids',
    'used > 50',
    '*',
    '2h',
    '',
    ' ',
    'a=b',
    'true',
  ),
  anyText.filter((text) => !text.includes('\0')),
);
const word = fc.oneof(
  value,
  fc.constantFrom(
    '--',
    '-',
    '-y',
    '-h',
    '-0',
    '-yy',
    '---',
    '--=',
    '--json',
    '--yes',
    '--help',
    '--no-such',
    '--toString',
    '-__proto__',
  ),
  fc.constantFrom(...flagNames).map((name) => `--${name}`),
  fc.tuple(fc.constantFrom(...flagNames), value).map(([name, text]) => `--${name}=${text}`),
);
const commandLine = fc.tuple(
  fc.oneof({arbitrary: fc.constantFrom(...ours.map(({id}) => id)), weight: 9}, {arbitrary: word, weight: 1}),
  fc.array(word, {maxLength: 5}),
);

/** What holds for any words at all. */
function check(argv: readonly string[], code: number | null, stdout: string, stderr: string): void {
  expect([0, 1, 2]).toContain(code);
  expect(stderr).not.toMatch(/Unexpected error|^ {4}at |node:internal|"INTERNAL_ERROR"/m);
  expect(stderr).not.toMatch(UNSAFE);
  const end = argv.indexOf('--');
  const flags = end === -1 ? argv : argv.slice(0, end);
  if (!flags.some((text) => text.startsWith('--format') || ['csv', 'ids'].includes(text)))
    expect(stdout).not.toMatch(UNSAFE);
  if (code === 1) expect(stderr).not.toBe('');
}

fuzz(
  'any words in this process end with an answer or an error',
  fc.asyncProperty(commandLine, async ([first, rest]) => {
    const command = ours.find(({id}) => id === first);
    if (command === undefined) return;
    const {stdout, stderr, code} = await runCommand(await command.load(), rest, redis);
    check(rest, code, stdout, stderr);
  }),
  4,
);

fuzz(
  'any words to the program as it is installed end with an answer or an error',
  fc.asyncProperty(commandLine, async ([first, rest]) => {
    const argv = [first, ...rest].filter((text) => !text.includes('\0'));
    const {code, stdout, stderr} = await runBinary(argv, {url: redis.url});
    check(argv, code, stdout, stderr);
  }),
  30,
);
