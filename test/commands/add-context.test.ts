import {rm, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

import {describe, expect, test} from 'vitest';

import {CONTEXTS, useContextFile} from '../support/contexts.js';

const file = useContextFile();

describe('add-context', () => {
  test('adds one at the end, with all that is given', async () => {
    const flags = '--redis-url-file f --tls-ca /ca.pem --tls-server-name r --timeout 0.5 --actor ops --color cyan';
    const {code, stdout} = await file.run(`add-context dev ${flags} --protected --read-only`);
    expect({code, stdout}).toEqual({code: 0, stdout: `✓ Context 'dev' added to ${file.path}\n`});
    expect(await file.read()).toBe(
      `${CONTEXTS}  dev:\n    redis-url-file: ${join(process.cwd(), 'f')}\n    tls-ca: /ca.pem\n    tls-server-name: r\n` +
        '    timeout: 0.5\n    actor: ops\n    color: cyan\n    protected: true\n    read-only: true\n',
    );
  });

  test('can make it the default', async () => {
    const {result} = await file.run('add-context dev --redis-url redis://h --default --json');
    expect(result).toMatchObject({name: 'dev', address: 'h:6379', default: true, file: file.path});
    expect(await file.read()).toContain('default: dev\n');
  });

  test.each(['TOKENGATE_REDIS_URL', 'TOKENGATE_REDIS_URL_FILE', 'TOKENGATE_CONTEXT'])(
    'says that %s wins over the default',
    async (variable) => {
      const {stderr} = await file.run('add-context dev --redis-url redis://h --default', {[variable]: 'prod'});
      expect(stderr).toBe(`Warning: ${variable} is set, and wins over the default. Unset it.\n`);
      expect((await file.run('add-context other --redis-url redis://h', {[variable]: 'prod'})).stderr).toBe('');
    },
  );

  test.each([
    ['redis://h', 0o644, 0o644],
    ['redis://:p@h', 0o644, 0o600],
    ['redis://h', 0o600, 0o600],
  ])('of %s keeps the mode of the file, or makes it private', async (url, before, after) => {
    await writeFile(file.path, '');
    await rm(file.path);
    await writeFile(file.path, 'contexts: {}', {mode: before});
    await file.run(`add-context dev --redis-url ${url}`);
    expect((await stat(file.path)).mode & 0o777).toBe(after);
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
    const {stderr, ...output} = await file.run(`add-context ${line} --json`, {TOKENGATE_REDIS_URL: 'redis://other'});
    expect(output).toMatchObject({code: 1, stdout: ''});
    expect(JSON.parse(stderr)).toMatchObject({error: {code}});
    expect(await file.read()).toBe(CONTEXTS);
  });
});
