import {cp, mkdtemp, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {expect, onTestFinished, test} from 'vitest';

import {findBlocks} from '../support/markdown.js';
import {runProcess} from '../support/program/run.js';
import {ROOT} from '../support/root.js';

/** What npm, Git and the build make in a checkout. */
const MADE = ['.git', 'build', 'dist', 'node_modules'].map((name) => join(ROOT, name));

test('the command and the test of CONTRIBUTING.md are all that a new command takes', {timeout: 180_000}, async () => {
  const copy = await mkdtemp(join(tmpdir(), 'tokengate-contributing-'));
  onTestFinished(() => rm(copy, {recursive: true}));
  await cp(ROOT, copy, {recursive: true, filter: (path) => !MADE.includes(path)});
  await symlink(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  const page = await readFile(join(ROOT, 'CONTRIBUTING.md'), 'utf8');
  const [command, itsTest] = findBlocks(page.replaceAll(/^ {3}/gm, '')).filter(({language}) => language === 'ts');
  await writeFile(join(copy, 'src/commands/count-sessions.ts'), command!.text);
  await writeFile(join(copy, 'test/commands/count-sessions.test.ts'), itsTest!.text);

  const built = await runProcess('npm', ['run', '--silent', 'build'], {cwd: copy});
  expect(built).toMatchObject({code: 0, stderr: ''});
  expect(await readFile(join(copy, 'docs/commands/count-sessions.md'), 'utf8')).toContain('| `count` | integer | ');

  const files = ['test/commands/count-sessions.test.ts', 'test/docs/schemas.test.ts'];
  const {code, stdout} = await runProcess('npx', ['vitest', 'run', ...files, '-t', 'count-sessions'], {cwd: copy});
  expect(stdout).toContain('2 passed');
  expect(code).toBe(0);
});
