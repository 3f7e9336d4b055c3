import {spawnSync} from 'node:child_process';
import {existsSync, statSync} from 'node:fs';
import {chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join, relative} from 'node:path';

import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import {type Output, runProcess} from '../support/program/run.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';
import {ROOT} from '../support/root.js';

/** Milliseconds; what is installed comes from the network, unless npm has it in its cache. */
const INSTALLING = 300_000;
/** Who may read what is installed, and write nothing. */
const NOBODY = 65_534;

/** Large tools that the build does without. `npm test` has installed all that there are. */
const NOT_FOR_BUILD = [
  ...['@eslint/js', '@stryker-mutator/core', '@stryker-mutator/vitest-runner', '@xterm/headless', 'axe-core', 'eslint'],
  ...['eslint-plugin-import-x', 'fast-check', 'knip', 'publint', 'puppeteer-core', 'tree-sitter-powershell'],
  ...['typescript-eslint', 'vite', 'vitest', 'web-tree-sitter'],
];

let folder: string;
/**
 * As git gives it but for NOT_FOR_BUILD, until `npm install -g .` installs what it needs there and builds: all that follows
 * is made of it.
 */
let checkout: string;
let redis: TestRedis;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tokengate-package-'));
  // Of every user, who all run what is installed here.
  await chmod(folder, 0o755);
  redis = await startRedis({tcp: true});
  checkout = await copyCheckout();
  await npm(['uninstall', '--package-lock-only', '--ignore-scripts', '--no-audit', ...NOT_FOR_BUILD], checkout);
  await npm(['install', '--global', '--prefix', join(folder, 'prefix'), '.'], checkout);
}, INSTALLING);
beforeEach(() => redis.client.flushDb());
afterAll(async () => {
  await redis.stop();
  await rm(folder, {recursive: true});
});

describe('npm install -g . in a fresh checkout', () => {
  test('gives a working tokengate', async () => {
    const {code, stdout} = await runProcess(join(folder, 'prefix/bin/tokengate'), ['health'], redis);
    expect(stdout).toMatch(/^✓ Redis connection healthy\n/);
    expect(code).toBe(0);
  });
});

describe('the packed package', () => {
  let files: string[];
  let installed: string;
  beforeAll(async () => {
    const report = await npm(['pack', '--silent', '--json', '--pack-destination', folder], checkout);
    const [packed] = JSON.parse(report) as [{filename: string; files: {path: string}[]}];
    files = packed.files.map(({path}) => path);
    installed = join(folder, 'installed');
    await npm(['install', '--global', '--prefix', installed, '--omit=dev', join(folder, packed.filename)], folder);
  }, INSTALLING);

  const tokengate = (argv: string[], env: Record<string, string> = {}): Promise<Output> =>
    runProcess(join(installed, 'bin/tokengate'), argv, {cwd: folder, url: redis.url, env: {HOME: folder, ...env}});

  test.each([['--version'], ['health'], ['list-sessions'], ['get-budget', 'x']])(
    'runs for a uid that has no name, home or shell, as in a container: %s',
    async (...argv) => {
      // Only root can become somebody else.
      expect(process.getuid?.()).toBe(0);
      await redis.client.set('session:x:budget', '5');
      const words = ['-i', `PATH=${process.env['PATH'] ?? ''}`, `TOKENGATE_REDIS_URL=${redis.url}`];
      const as = ['setpriv', '--reuid', '54321', '--regid', '54321', '--clear-groups'];
      const output = await runProcess('env', [...words, ...as, join(installed, 'bin/tokengate'), ...argv], {cwd: '/'});
      expect(output).toMatchObject({code: 0, stderr: ''});
    },
  );

  test('holds what is run and what is read, and nothing else', () => {
    expect(files.sort()).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'bin/keep-code.js',
      'bin/package.json',
      'bin/run.js',
      'completions/tokengate.bash',
      'completions/tokengate.fish',
      'completions/tokengate.ps1',
      'completions/tokengate.zsh',
      'dist/budgets.schema.json',
      'dist/cli-progress.cjs',
      'dist/complete-finders.cjs',
      'dist/complete.cjs',
      'dist/contexts.cjs',
      'dist/help.cjs',
      'dist/many.cjs',
      'dist/rest.cjs',
      'dist/table.cjs',
      'dist/tokengate.1',
      'dist/tokengate.cjs',
      'dist/watch-screen.cjs',
      'dist/yaml.cjs',
      'oclif.manifest.json',
      'package.json',
    ]);
  });

  test('takes no more room than docs/development/packaging.md says', async () => {
    const home = join(installed, 'lib/node_modules/tokengate');
    const paths = await readdir(home, {recursive: true, withFileTypes: true});
    const sizes = paths
      .filter((entry) => entry.isFile())
      .map((entry) => statSync(join(entry.parentPath, entry.name)).size);
    const megabytes = sizes.reduce((sum, size) => sum + size, 0) / 1e6;
    const [, stated] =
      /it takes ([\d.]+) MB/.exec(await readFile(join(ROOT, 'docs/development/packaging.md'), 'utf8')) ?? [];
    expect(megabytes).toBeLessThan(Number(stated));
    expect(megabytes).toBeGreaterThan(Number(stated) * 0.8);
  });

  test('puts its man page where man finds it', () => {
    expect(existsSync(join(installed, 'share/man/man1/tokengate.1'))).toBe(true);
  });

  test('runs nothing when it is installed, and brings no tool of the development', async () => {
    const home = join(installed, 'lib/node_modules/tokengate');
    const read = async (at: string): Promise<Record<'scripts' | 'devDependencies', Record<string, string>>> =>
      JSON.parse(await readFile(join(at, 'package.json'), 'utf8')) as Awaited<ReturnType<typeof read>>;
    const {scripts} = await read(home);
    const {devDependencies} = await read(ROOT);
    // npm takes `prepare` for one too, and warns of it.
    expect(Object.keys(scripts).filter((name) => /install$|^pre|^post/.test(name))).toEqual([]);
    // What the two plugins of oclif need; all else is in the bundle.
    const shared = ['@oclif/core'];
    const present = Object.keys(devDependencies).filter((name) => existsSync(join(home, 'node_modules', name)));
    expect(present.filter((name) => !shared.includes(name))).toEqual([]);
  });

  test('does the main job', async () => {
    expect(await tokengate(['set-budget', 'my-workflow', '25.50'])).toEqual({
      code: 0,
      stdout: "✓ Budget set for 'my-workflow': $25.50\n",
      stderr: "Warning: New session 'my-workflow'.\n",
    });
    const {stdout} = await tokengate(['list-sessions', '--json']);
    expect(JSON.parse(stdout)).toEqual([
      {
        session_id: 'my-workflow',
        budget: 25.5,
        spent: 0,
        remaining: 25.5,
        percentage_used: 0,
        is_frozen: false,
        freeze_reason: null,
        frozen_until: null,
      },
    ]);
  });

  test('has its help, its version and its completion', async () => {
    const help = await tokengate(['help']);
    expect(help).toMatchObject({code: 0, stderr: ''});
    expect(help.stdout).toMatch(/^ {2}Budgets .* set-budget$/m);
    const version = await tokengate(['--version']);
    expect(version).toMatchObject({code: 0, stderr: ''});
    expect(version.stdout).toMatch(/^tokengate\/\d+\.\d+\.\d+ /);
    const setup = await tokengate(['autocomplete', 'bash']);
    expect(setup).toMatchObject({code: 0, stderr: ''});
    expect(setup.stdout).toContain('eval "$(tokengate autocomplete script bash)"');
    for (const shell of ['bash', 'zsh', 'fish', 'powershell']) {
      const script = await tokengate(['autocomplete', 'script', shell]);
      expect(script).toMatchObject({code: 0, stderr: ''});
      expect(script.stdout).toContain('__complete');
    }
    const tab = await tokengate(['__complete', 'bash'], {
      TOKENGATE_COMPLETE_LINE: 'tokengate get-b',
      TOKENGATE_COMPLETE_WORD: 'get-b',
    });
    expect(tab).toEqual({code: 0, stdout: 'values\nget-budget\n', stderr: ''});
  });

  test('renews the files of the plugin for a set-up that uses those', async () => {
    expect(await tokengate(['autocomplete', '--refresh-cache'])).toMatchObject({code: 0});
    const cached = join(folder, '.cache/tokengate/autocomplete/functions/bash/tokengate.bash');
    expect(await readFile(cached, 'utf8')).toMatch(/^set-budget .*--redis-url/m);
  });

  describe.each(isRoot() ? [['root'], ['nobody']] : [['the user']])('as %s, with no home folder', (who) => {
    const user = who === 'nobody' ? {uid: NOBODY} : {};
    const run = (argv: string[], env: Record<string, string> = {}): Promise<Output> =>
      // Without PATH `env` would not find node.
      runProcess(
        '/usr/bin/env',
        [
          '-i',
          `PATH=${dirname(process.execPath)}:/usr/bin:/bin`,
          ...asWords(env),
          join(installed, 'bin/tokengate'),
          ...argv,
        ],
        {...user, cwd: '/'},
      );

    test('every command runs, and leaves the folder as it is', async () => {
      const home = join(installed, 'lib/node_modules/tokengate');
      const before = (await readdir(home, {recursive: true})).sort();
      const url = {TOKENGATE_REDIS_URL: redis.url};
      const {commands} = JSON.parse(await readFile(join(home, 'oclif.manifest.json'), 'utf8')) as {commands: object};
      // Whoever asks, the help is read from the same files: once is enough.
      const ids = who === 'root' ? ['health'] : Object.keys(commands);
      for (const id of ids) expect(await run(['help', id])).toMatchObject({code: 0, stderr: ''});
      expect(await run(['set-budget', 'a', '5'], url)).toMatchObject({
        code: 0,
        stderr: "Warning: New session 'a'.\n",
      });
      expect(await run(['list-sessions'], url)).toMatchObject({code: 0, stderr: ''});
      expect(await run(['reset-session', 'a', '--yes'], url)).toMatchObject({code: 0, stderr: ''});
      expect(await run(['get-budget', 'a'], url)).toMatchObject({code: 1, stdout: ''});
      expect(await run(['autocomplete', 'script', 'zsh'])).toMatchObject({code: 0, stderr: ''});
      expect((await readdir(home, {recursive: true})).sort()).toEqual(before);
    });

    test.skipIf(!canLeaveNetwork())('it needs no network', async () => {
      const socket = await startRedis({args: ['--unixsocketperm', '777']});
      await chmod(dirname(socket.url.slice('unix://'.length)), 0o755);
      const words = [
        '-n',
        '--',
        process.execPath,
        join(installed, 'bin/tokengate'),
        'health',
        '--redis-url',
        socket.url,
      ];
      expect(await runProcess('unshare', who === 'nobody' ? ['-r', ...words] : words, user)).toMatchObject({
        code: 0,
        stderr: '',
      });
      await socket.stop();
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

describe('in another oclif CLI', () => {
  let host: string;
  const run = (argv: string[]): Promise<Output> => runProcess(process.execPath, [join(host, 'run.js'), ...argv], redis);
  beforeAll(async () => {
    host = join(folder, 'host');
    await mkdir(join(host, 'node_modules/@oclif'), {recursive: true});
    await mkdir(join(host, 'commands'));
    await symlink(join(folder, 'installed/lib/node_modules/tokengate'), join(host, 'node_modules/tokengate'));
    for (const name of ['core', 'plugin-autocomplete']) {
      await symlink(join(ROOT, 'node_modules/@oclif', name), join(host, 'node_modules/@oclif', name));
    }
    const plugins = ['tokengate', '@oclif/plugin-autocomplete'];
    const pjson = {
      name: 'host',
      version: '1.0.0',
      type: 'module',
      dependencies: Object.fromEntries(plugins.map((name) => [name, '*'])),
      oclif: {bin: 'host', commands: './commands', topicSeparator: ' ', plugins},
    };
    await writeFile(join(host, 'package.json'), JSON.stringify(pjson));
    await writeFile(
      join(host, 'run.js'),
      "import {execute} from '@oclif/core';\nawait execute({dir: import.meta.url});\n",
    );
    await writeFile(
      join(host, 'helps.js'),
      `import {Config, run} from '@oclif/core';
      const config = await Config.load(import.meta.url);
      for (const id of process.argv.slice(2)) await run([id, '--help'], config).catch((error) => {
        if (error.oclif?.exit !== 0) throw error;
      });`,
    );
    const command = (body: string): string =>
      `import {Command} from '@oclif/core';\nexport default class extends Command { static summary = 'Of the host';\nasync run() { ${body} } }\n`;
    await writeFile(join(host, 'commands/hello.js'), command("await this.parse(); this.log('hello');"));
    await writeFile(join(host, 'commands/fail.js'), command("this.error('failed', {exit: 7});"));
    await writeFile(join(host, 'commands/health.js'), command("this.log('the host is well');"));
  });

  test('every command is there, with its help', async () => {
    const {commands} = JSON.parse(await readFile(join(ROOT, 'oclif.manifest.json'), 'utf8')) as {commands: object};
    const {stdout} = await run(['help']);
    for (const id of Object.keys(commands)) expect(stdout).toMatch(new RegExp(`^ {2}${id} `, 'm'));
    expect(await run(['health', '--help'])).toMatchObject({code: 0, stderr: ''});
    // The others in one process, since each start of the host costs half a second.
    const {code, stderr, ...helps} = await runProcess(process.execPath, [
      join(host, 'helps.js'),
      ...Object.keys(commands),
    ]);
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
    for (const id of Object.keys(commands)) expect(helps.stdout).toMatch(new RegExp(`^ +\\$ host ${id}( |$)`, 'm'));
  });

  test.each([
    [['set-budget', 'a', '5']],
    [['set-budget', 'a', '7', '--json']],
    [['add-budget', 'a', '1']],
    [['get-budget', 'a']],
    [['get-budget', 'nobody']],
    [['get-budget', 'nobody', '--json']],
    [['get-budget']],
    [['get-budget', 'a', '--bogus']],
    [['set-budget', 'a', 'nan']],
    [['list-sessions', '--format', 'csv']],
    [['list-sessions', '--format', 'xml']],
    [['reset-session', 'a']],
    [['reset-session', 'a', 'nobody', '--dry-run', '--format', 'ndjson']],
    [['freeze-session', 'a', '--forever']],
    [['anomaly-stats', 'a']],
    [['unfreeze-session', 'a']],
    [['get-budget', 'a', '--redis-url', 'redis://user:secret@127.0.0.1:1']],
  ])('%j prints and ends as it does alone', async (argv) => {
    // What was there before is part of the answer.
    const budgets = (): Promise<unknown> => redis.client.mSet({'session:a:budget': '20', 'session:a:spent': '1.5'});
    await budgets();
    const alone = await runProcess(join(folder, 'installed/bin/tokengate'), argv, {...redis, env: {HOME: folder}});
    await redis.client.flushDb();
    await budgets();
    // Each change has an ID of its own.
    const withoutChange = (output: Output): Output => ({
      ...output,
      stdout: output.stdout.replace(/"change_id": "[0-9a-z]{10}"/, '"change_id": "…"'),
    });
    expect(withoutChange(await run(argv))).toEqual(withoutChange(alone));
  });

  test("the host's own commands, its help and its words on unknown ones stay", async () => {
    expect(await run(['hello'])).toEqual({code: 0, stdout: 'hello\n', stderr: ''});
    expect(await run(['fail'])).toMatchObject({code: 7, stdout: ''});
    expect(await run(['health'])).toEqual({code: 0, stdout: 'the host is well\n', stderr: ''});
    const unknown = await run(['bogus']);
    expect(unknown).toMatchObject({code: 2, stdout: ''});
    expect(unknown.stderr).toContain('command bogus not found');
    expect((await run(['ls'])).code).toBe(2);
    const help = await run(['hello', '--help']);
    expect(help).toMatchObject({code: 0});
    expect(help.stdout).not.toContain('TOKENGATE');
    expect((await run(['autocomplete', '--help'])).stdout).not.toContain('fish');
  });
});

// Last, since it changes the checkout.
describe('npm version', () => {
  test(
    'keeps manifest, README and changelog in step',
    async () => {
      const changelog = await readFile(join(checkout, 'CHANGELOG.md'), 'utf8');
      await writeFile(
        join(checkout, 'CHANGELOG.md'),
        changelog.replace(/^## \[/m, '## [Unreleased]\n\n- Something new.\n\n## ['),
      );
      await npm(['version', '9.8.7', '--no-git-tag-version'], checkout);
      const manifest = JSON.parse(await readFile(join(checkout, 'oclif.manifest.json'), 'utf8')) as {version: string};
      expect(manifest.version).toBe('9.8.7');
      expect(await readFile(join(checkout, 'CHANGELOG.md'), 'utf8')).toMatch(
        /^## \[Unreleased\]\n\n## \[9\.8\.7\] - \d{4}-\d\d-\d\d\n\n- Something new\.\n/m,
      );
      for (const script of ['build/manifest', 'build/docs']) {
        const {code} = await runProcess(process.execPath, [join(checkout, `scripts/${script}.mjs`), '--check']);
        expect(code).toBe(0);
      }
      expect(await readFile(join(checkout, 'dist/tokengate.1'), 'utf8')).toContain('tokengate 9.8.7');
      const {stdout} = await runProcess(process.execPath, [join(checkout, 'bin/run.js'), '--version']);
      expect(stdout).toMatch(/^tokengate\/9\.8\.7 /);
    },
    INSTALLING,
  );
});

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

function canLeaveNetwork(): boolean {
  return spawnSync('unshare', ['-rn', '--', 'true']).status === 0;
}

function asWords(env: Record<string, string>): string[] {
  return Object.entries(env).map(([name, value]) => `${name}=${value}`);
}

/** The checkout as git would give it: without the packages and the build. */
async function copyCheckout(): Promise<string> {
  const copy = join(folder, 'checkout');
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
