import {writeFile} from 'node:fs/promises';

import {describe, expect, test} from 'vitest';

import {CONTEXTS, useContextFile} from '../support/contexts.js';

const file = useContextFile();

describe('list-contexts', () => {
  test('shows what there is, and no secret', async () => {
    const {stdout} = await file.run('list-contexts');
    expect(stdout.replaceAll(file.folder, 'FOLDER'.padEnd(file.folder.length))).toContain('audit');
    expect(stdout).toContain('║ staging ║ staging:6379 db 2');
    expect(stdout).toContain(`║ in ${file.folder}/secrets/prod ║ protected`);
    expect(stdout).toContain('║ audit   ║ from op');
    expect(stdout).toContain('║ read-only');
    expect(stdout).toContain('In effect: staging, by the default of the file\n');
  });

  test('as JSON and NDJSON', async () => {
    const {stdout} = await file.run('list-contexts --json --context prod');
    const list = JSON.parse(stdout) as unknown[];
    expect(list).toMatchObject([
      {name: 'staging', address: 'staging:6379', database: 2, url_from: 'redis-url', default: true, in_effect: false},
      {name: 'prod', address: null, url_from: 'redis-url-file', protected: true, color: 'red', in_effect: true},
      {name: 'audit', address: null, url_from: 'redis-url-command', read_only: true, in_effect: false},
    ]);
    const lines = (await file.run('list-contexts --format ndjson --context prod')).stdout.trim().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(list);
  });

  test.each([
    ['--context prod', {}, 'prod, by --context'],
    ['', {TOKENGATE_CONTEXT: 'audit'}, 'audit, by TOKENGATE_CONTEXT'],
    ['--redis-url redis://h', {TOKENGATE_CONTEXT: 'audit'}, 'no context, by --redis-url'],
    ['', {TOKENGATE_REDIS_URL: 'redis://h'}, 'no context, by TOKENGATE_REDIS_URL'],
    ['', {TOKENGATE_REDIS_URL_FILE: '/f'}, 'no context, by TOKENGATE_REDIS_URL_FILE'],
  ])('with %j and %j says what is in effect, and why', async (flags, env, expected) => {
    expect(await file.inEffect(`list-contexts ${flags}`, env)).toBe(expected);
  });

  test('without a default it is localhost', async () => {
    await writeFile(file.path, CONTEXTS.replace(/^default.*\n/, ''));
    expect(await file.inEffect('list-contexts')).toBe('no context, but redis://localhost:6379');
  });
});
