import {existsSync} from 'node:fs';
import {cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join, relative} from 'node:path';

import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import {startRedis, type TestRedis} from './support/redis-server.js';
import {type Output, ROOT, runProcess} from './support/run.js';

/** Milliseconds; what is installed comes from the network, unless npm has it in its cache. */
const INSTALLING = 300_000;

let folder: string;
let redis: TestRedis;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tokengate-package-'));
  redis = await startRedis();
});
beforeEach(() => redis.client.flushDb());
afterAll(async () => {
  await redis.stop();
  await rm(folder, {recursive: true});
});

describe('the packed package', () => {
  let files: string[];
  let installed: string;
  beforeAll(async () => {
    const checkout = await copyCheckout('packed');
    await symlink(join(ROOT, 'node_modules'), join(checkout, 'node_modules'));
    const report = await npm(['pack', '--silent', '--json', '--pack-destination', folder], checkout);
    const [packed] = JSON.parse(report) as [{filename: string; files: {path: string}[]}];
    files = packed.files.map(({path}) => path);
    installed = join(folder, 'installed');
    await npm(['install', '--global', '--prefix', installed, '--omit=dev', join(folder, packed.filename)], folder);
  }, INSTALLING);

  const tokengate = (argv: string[], env: Record<string, string> = {}): Promise<Output> =>
    runProcess(join(installed, 'bin/tokengate'), argv, {cwd: folder, url: redis.url, env: {HOME: folder, ...env}});

  test('holds what is run and what is read, and nothing else', () => {
    expect(files.sort()).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'bin/package.json',
      'bin/run.js',
      'dist/cli-progress.cjs',
      'dist/inquirer.cjs',
      'dist/table.cjs',
      'dist/tokengate.cjs',
      'dist/watch-screen.cjs',
      'oclif.manifest.json',
      'package.json',
    ]);
  });

  test('runs nothing when it is installed, and brings no tool of the development', async () => {
    const home = join(installed, 'lib/node_modules/tokengate');
    const {scripts, devDependencies} = JSON.parse(await readFile(join(home, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
      devDependencies: Record<string, string>;
    };
    expect(Object.keys(scripts).filter((name) => name.endsWith('install'))).toEqual([]);
    // What the two plugins of oclif need; all else is in the bundle.
    const shared = ['@oclif/core', 'string-width'];
    const present = Object.keys(devDependencies).filter((name) => existsSync(join(home, 'node_modules', name)));
    expect(present.filter((name) => !shared.includes(name))).toEqual([]);
  });

  test('does the main job', async () => {
    expect(await tokengate(['set-budget', 'my-workflow', '25.50'])).toEqual({
      code: 0,
      stdout: "✓ Budget set for 'my-workflow': $25.50\n",
      stderr: '',
    });
    const {stdout} = await tokengate(['list-sessions', '--json']);
    expect(JSON.parse(stdout)).toEqual([
      {session_id: 'my-workflow', budget: 25.5, spent: 0, remaining: 25.5, percentage_used: 0},
    ]);
  });

  test('has its help, its version and its completion', async () => {
    const help = await tokengate(['help']);
    expect(help).toMatchObject({code: 0, stderr: ''});
    expect(help.stdout).toMatch(/^ {2}set-budget {2,}\S/m);
    const version = await tokengate(['--version']);
    expect(version).toMatchObject({code: 0, stderr: ''});
    expect(version.stdout).toMatch(/^tokengate\/\d+\.\d+\.\d+ /);
    const completion = await tokengate(['autocomplete', 'bash']);
    expect(completion.code).toBe(0);
    expect(completion.stdout).toContain('tokengate autocomplete script bash');
    const functions = await readFile(
      join(folder, '.cache/tokengate/autocomplete/functions/bash/tokengate.bash'),
      'utf8',
    );
    expect(functions).toMatch(/^set-budget .*--redis-url/m);
  });

  test('is a plugin of another oclif CLI', async () => {
    const host = join(folder, 'host');
    await mkdir(join(host, 'node_modules/@oclif'), {recursive: true});
    await symlink(join(installed, 'lib/node_modules/tokengate'), join(host, 'node_modules/tokengate'));
    await symlink(join(ROOT, 'node_modules/@oclif/core'), join(host, 'node_modules/@oclif/core'));
    const pjson = {name: 'host', version: '1.0.0', type: 'module', dependencies: {tokengate: '*'}};
    await writeFile(join(host, 'package.json'), JSON.stringify({...pjson, oclif: {plugins: ['tokengate']}}));
    await writeFile(
      join(host, 'run.js'),
      "import {execute} from '@oclif/core';\nawait execute({dir: import.meta.url});\n",
    );
    expect(await runProcess(process.execPath, [join(host, 'run.js'), 'set-budget', 'a', '5'], redis)).toEqual({
      code: 0,
      stdout: "✓ Budget set for 'a': $5.00\n",
      stderr: '',
    });
  });

  test.each([['health'], ['list-sessions'], ['help'], ['--version']])(
    'needs no home folder and makes none: %s',
    async (word) => {
      const home = join(folder, 'no', 'home');
      expect(await tokengate([word], {HOME: home})).toMatchObject({code: 0, stderr: ''});
      expect(existsSync(join(folder, 'no'))).toBe(false);
    },
  );
});

describe('npm install -g . in a fresh checkout', () => {
  test(
    'gives a working tokengate',
    async () => {
      const checkout = await copyCheckout('linked');
      await npm(['install', '--global', '--prefix', join(folder, 'prefix'), '.'], checkout);
      const {code, stdout} = await runProcess(join(folder, 'prefix/bin/tokengate'), ['health'], redis);
      expect(stdout).toMatch(/^✓ Redis connection healthy\n/);
      expect(code).toBe(0);
    },
    INSTALLING,
  );
});

/** The checkout as git would give it: without the packages and the build. */
async function copyCheckout(name: string): Promise<string> {
  const copy = join(folder, name);
  const absent = ['.git', 'build', 'dist', 'node_modules'];
  await mkdir(copy);
  await cp(ROOT, copy, {recursive: true, filter: (source) => !absent.includes(relative(ROOT, source))});
  return copy;
}

async function npm(argv: string[], cwd: string): Promise<string> {
  // Where the user's registry is may be in the environment.
  const own = Object.entries(process.env).filter(([name]) => /^(https?_proxy|no_proxy|npm_config_)/i.test(name));
  const env = Object.fromEntries(own) as Record<string, string>;
  const {code, stdout, stderr} = await runProcess('npm', argv, {cwd, env});
  if (code !== 0) throw new Error(`npm ${argv.join(' ')} ended with exit code ${code}:\n${stdout}${stderr}`);
  return stdout;
}
