import {describe, expect, test} from 'vitest';

import {CONTEXTS, useContextFile} from '../support/contexts.js';

const file = useContextFile();

describe('remove-context', () => {
  test('removes one, and leaves the others as they are', async () => {
    const {code, stdout} = await file.run('remove-context prod');
    expect({code, stdout}).toEqual({code: 0, stdout: `✓ Context 'prod' removed from ${file.path}\n`});
    expect(await file.read()).toBe(CONTEXTS.replace(/ {2}prod.*\n/, ''));
  });

  test('removes the default with its context, and says so', async () => {
    const {stdout} = await file.run('remove-context staging');
    expect(stdout).toContain('It was the default: now there is none.\n');
    expect(await file.inEffect('list-contexts')).toBe('no context, but redis://localhost:6379');
  });

  test('of a name that there is not is an error', async () => {
    const {code, stderr} = await file.run('remove-context dev');
    expect({code, stderr}).toEqual({
      code: 1,
      stderr: `Error: There is no context 'dev' in ${file.path}.\nContexts: staging, prod, audit.\n`,
    });
  });
});
