import {mkdtemp, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {beforeEach, describe, expect, onTestFinished, test} from 'vitest';

import {run as runLine} from '../support/program/run.js';

const TEXT = `default: staging
contexts:
  staging: {redis-url: 'redis://staging:6379/2'} # for everybody
  prod: {redis-url-file: secrets/prod, protected: true, color: red}
  audit: {redis-url-command: [op, read, 'op://ops/redis'], read-only: true}
`;

let folder: string;
let config: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tokengate-contexts-'));
  onTestFinished(() => rm(folder, {recursive: true}));
  config = join(folder, 'config.yaml');
  await writeFile(config, TEXT, {mode: 0o600});
});

const run = (line: string, env: Record<string, string> = {}): ReturnType<typeof runLine> =>
  runLine(line, {env: {TOKENGATE_CONFIG: config, ...env}});
const inEffect = async (line: string, env?: Record<string, string>): Promise<string> => {
  const {stdout} = await run(line, env);
  return /^In effect: (.*)$/m.exec(stdout)?.[1] ?? stdout;
};

describe('list-contexts', () => {
  test('shows what there is, and no secret', async () => {
    const {stdout} = await run('list-contexts');
    expect(stdout.replaceAll(folder, 'FOLDER'.padEnd(folder.length))).toContain('audit');
    expect(stdout).toContain('║ staging ║ staging:6379 db 2');
    expect(stdout).toContain(`║ in ${folder}/secrets/prod ║ protected`);
    expect(stdout).toContain('║ audit   ║ from op');
    expect(stdout).toContain('║ read-only');
    expect(stdout).toContain('In effect: staging, by the default of the file\n');
  });

  test('as JSON and NDJSON', async () => {
    const {stdout} = await run('list-contexts --json --context prod');
    const list = JSON.parse(stdout) as unknown[];
    expect(list).toMatchObject([
      {name: 'staging', address: 'staging:6379', database: 2, url_from: 'redis-url', default: true, in_effect: false},
      {name: 'prod', address: null, url_from: 'redis-url-file', protected: true, color: 'red', in_effect: true},
      {name: 'audit', address: null, url_from: 'redis-url-command', read_only: true, in_effect: false},
    ]);
    const lines = (await run('list-contexts --format ndjson --context prod')).stdout.trim().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(list);
  });

  test.each([
    ['--context prod', {}, 'prod, by --context'],
    ['', {TOKENGATE_CONTEXT: 'audit'}, 'audit, by TOKENGATE_CONTEXT'],
    ['--redis-url redis://h', {TOKENGATE_CONTEXT: 'audit'}, 'no context, by --redis-url'],
    ['', {TOKENGATE_REDIS_URL: 'redis://h'}, 'no context, by TOKENGATE_REDIS_URL'],
    ['', {TOKENGATE_REDIS_URL_FILE: '/f'}, 'no context, by TOKENGATE_REDIS_URL_FILE'],
  ])('with %j and %j says what is in effect, and why', async (flags, env, expected) => {
    expect(await inEffect(`list-contexts ${flags}`, env)).toBe(expected);
  });

  test('without a default it is localhost', async () => {
    await writeFile(config, TEXT.replace(/^default.*\n/, ''));
    expect(await inEffect('list-contexts')).toBe('no context, but redis://localhost:6379');
  });
});

describe('add-context', () => {
  test('adds one at the end, with all that is given', async () => {
    const flags = '--redis-url-file f --tls-ca /ca.pem --tls-server-name r --timeout 0.5 --actor ops --color cyan';
    const {code, stdout} = await run(`add-context dev ${flags} --protected --read-only`);
    expect({code, stdout}).toEqual({code: 0, stdout: `✓ Context 'dev' added to ${config}\n`});
    expect(await readFile(config, 'utf8')).toBe(
      `${TEXT}  dev:\n    redis-url-file: ${join(process.cwd(), 'f')}\n    tls-ca: /ca.pem\n    tls-server-name: r\n` +
        '    timeout: 0.5\n    actor: ops\n    color: cyan\n    protected: true\n    read-only: true\n',
    );
  });

  test('can make it the default', async () => {
    const {result} = await run('add-context dev --redis-url redis://h --default --json');
    expect(result).toMatchObject({name: 'dev', address: 'h:6379', default: true, file: config});
    expect(await readFile(config, 'utf8')).toContain('default: dev\n');
  });

  test.each([
    ['redis://h', 0o644, 0o644],
    ['redis://:p@h', 0o644, 0o600],
    ['redis://h', 0o600, 0o600],
  ])('of %s keeps the mode of the file, or makes it private', async (url, before, after) => {
    await writeFile(config, '');
    await rm(config);
    await writeFile(config, 'contexts: {}', {mode: before});
    await run(`add-context dev --redis-url ${url}`);
    expect((await stat(config)).mode & 0o777).toBe(after);
  });

  test.each([
    ['staging --redis-url redis://h', 'CONTEXT_EXISTS'],
    ['dev', 'INVALID_USAGE'],
    ['dev --context prod', 'INVALID_USAGE'],
    ['dev --redis-url redis://h --redis-url-file f', 'INVALID_USAGE'],
    ["'a b' --redis-url redis://h", 'INVALID_USAGE'],
    ['dev --redis-url http://h', 'INVALID_CONFIG'],
    ['dev --redis-url redis://h --timeout 0', 'INVALID_CONFIG'],
  ])('%s is refused, and nothing is written', async (line, code) => {
    const {stderr, ...output} = await run(`add-context ${line} --json`, {TOKENGATE_REDIS_URL: 'redis://other'});
    expect(output).toMatchObject({code: 1, stdout: ''});
    expect(JSON.parse(stderr)).toMatchObject({error: {code}});
    expect(await readFile(config, 'utf8')).toBe(TEXT);
  });
});

describe('remove-context', () => {
  test('removes one, and leaves the others as they are', async () => {
    const {code, stdout} = await run('remove-context prod');
    expect({code, stdout}).toEqual({code: 0, stdout: `✓ Context 'prod' removed from ${config}\n`});
    expect(await readFile(config, 'utf8')).toBe(TEXT.replace(/ {2}prod.*\n/, ''));
  });

  test('removes the default with its context, and says so', async () => {
    const {stdout} = await run('remove-context staging');
    expect(stdout).toContain('It was the default: now there is none.\n');
    expect(await inEffect('list-contexts')).toBe('no context, but redis://localhost:6379');
  });

  test('of a name that there is not is an error', async () => {
    const {code, stderr} = await run('remove-context dev');
    expect({code, stderr}).toEqual({
      code: 1,
      stderr: `Error: There is no context 'dev' in ${config}.\nContexts: staging, prod, audit.\n`,
    });
  });
});
