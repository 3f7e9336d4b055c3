import {spawnSync} from 'node:child_process';
import {
  chmod,
  chown,
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {basename, dirname, join} from 'node:path';

import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import {BIN, NODE, type Output, runProcess} from '../support/program/run.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';
import {ROOT} from '../support/root.js';

const ANSWER = '✓ Redis connection healthy';
/** As long as the answer, since V8 takes code for a source of the same length. */
const TWIN_ANSWER = '✓ Redis connection of twin';
const OTHER_USER = 65_534;

let folder: string;
/** Of the Node.js that runs the binary. */
const VERSION = spawnSync(NODE, ['--version'], {encoding: 'utf8'}).stdout.trim();

let redis: TestRedis;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tokengate-cache-'));
  redis = await startRedis();
  await redis.client.mSet({'session:a:budget': '20', 'session:a:spent': '1.5'});
});
afterAll(async () => {
  await redis.stop();
  await rm(folder, {recursive: true});
});

let cache: string;
let count = 0;
beforeEach(async () => {
  cache = join(folder, `cache-${++count}`);
  await mkdir(cache, {mode: 0o700});
});

const tokengate = (argv: string[], env: Record<string, string> = {}, bin = BIN): Promise<Output> =>
  runProcess(NODE, [bin, ...argv], {url: redis.url, env: {XDG_CACHE_HOME: cache, ...env}});

const codeFolder = (): string => join(cache, 'tokengate/code');
async function cacheFile(): Promise<string> {
  const [name, ...others] = await readdir(codeFolder());
  if (name === undefined || others.length > 0) throw new Error('not one file');
  return join(codeFolder(), name);
}

/** The first line of what `health` prints, which must be all that it needs to be right. */
async function health(): Promise<string | undefined> {
  const {code, stdout, stderr} = await tokengate(['health']);
  expect({code, stderr}).toEqual({code: 0, stderr: ''});
  return stdout.split('\n')[0];
}

/** Leaves code that answers something else, as it would be if whoever made it were to be trusted. */
async function keepCodeOfTwin(): Promise<string> {
  twinFile ??= makeCodeOfTwin();
  await mkdir(codeFolder(), {recursive: true, mode: 0o700});
  const file = join(codeFolder(), basename(await twinFile));
  await copyFile(await twinFile, file);
  return file;
}

let twinFile: Promise<string> | undefined;
async function makeCodeOfTwin(): Promise<string> {
  const twin = join(folder, 'twin');
  await cp(join(ROOT, 'dist'), join(twin, 'dist'), {recursive: true});
  await cp(join(ROOT, 'bin'), join(twin, 'bin'), {recursive: true});
  const bundle = join(twin, 'dist/tokengate.cjs');
  const text = await readFile(bundle, 'utf8');
  const changed = text.replace(ANSWER.slice(2), TWIN_ANSWER.slice(2));
  expect(changed).not.toBe(text);
  await writeFile(bundle, changed);
  expect(await tokengate(['health'], {}, join(twin, 'bin/run.js'))).toMatchObject({code: 0});
  const kept = join(twin, basename(await cacheFile()));
  await rename(await cacheFile(), kept);
  return kept;
}

describe('the code that V8 has compiled', () => {
  test('is kept after a run that succeeds, where only the user can read it', async () => {
    expect(await health()).toBe(ANSWER);
    const file = await cacheFile();
    expect(file).toContain(`-${VERSION}-${process.arch}`);
    const modes = [file, codeFolder(), dirname(codeFolder())].map(async (path) => (await stat(path)).mode & 0o777);
    expect(await Promise.all(modes)).toEqual([0o600, 0o700, 0o700]);
  });

  test('is used by the next run', async () => {
    await keepCodeOfTwin();
    expect(await health()).toBe(TWIN_ANSWER);
  });

  test('is written once a command, and then no more', async () => {
    const made: number[] = [];
    for (const argv of [['health'], ['health'], ['get-budget', 'a'], ['health'], ['get-budget', 'a']]) {
      await tokengate(argv);
      made.push((await stat(await cacheFile())).ino);
    }
    const [first, second, third, ...others] = made;
    expect(second).toBe(first);
    expect(third).not.toBe(first);
    expect(others).toEqual([third, third]);
  });

  test('is not kept after a run that fails', async () => {
    expect(await tokengate(['get-budget', 'nobody'])).toMatchObject({code: 1});
    expect(await readdir(cache)).toEqual([]);
  });

  test('is another for another bundle', async () => {
    const file = await keepCodeOfTwin();
    await rename(file, file.replace(/[0-9a-f]{8}-v/, '00000000-v'));
    expect(await health()).toBe(ANSWER);
    expect(await readdir(codeFolder())).toHaveLength(2);
  });

  test('of another version of V8 is replaced', async () => {
    const file = await keepCodeOfTwin();
    const {ino} = await stat(file);
    // To V8 other options of its own are as good as another version.
    const argv = ['--stack-size=900', BIN, 'health'];
    const {stdout} = await runProcess(NODE, argv, {url: redis.url, env: {XDG_CACHE_HOME: cache}});
    expect(stdout.split('\n')[0]).toBe(ANSWER);
    expect((await stat(await cacheFile())).ino).not.toBe(ino);
  });

  test('is one file for each of the bundle that was loaded, with each kind of help once', async () => {
    const made = async (...argv: string[]): Promise<string[]> => {
      expect(await tokengate(argv)).toMatchObject({code: 0, stderr: ''});
      const names = await readdir(codeFolder()).catch(() => []);
      return Promise.all(names.sort().map(async (name) => `${name} ${(await stat(join(codeFolder(), name))).ino}`));
    };
    expect(await made('--version')).toEqual([]);
    expect(await made('health')).toHaveLength(1);
    const help = await made('--help');
    expect(help).toHaveLength(2);
    expect(await made('--help')).toEqual(help);
    expect(await made('-h')).toEqual(help);
    const ofCommand = await made('health', '--help');
    expect(ofCommand.filter((file) => help.includes(file))).toEqual([]);
    expect(await made('help', 'set-budget')).toEqual(ofCommand);
    expect(await made('list-sessions', '-h')).toEqual(ofCommand);
    expect(await made('list-sessions')).toHaveLength(4);
  });

  test('is removed when many newer ones are there', async () => {
    await health();
    await Promise.all(Array.from({length: 40}, (_, index) => writeFile(join(codeFolder(), `old-${index}`), '')));
    await tokengate(['get-budget', 'a']);
    const names = await readdir(codeFolder());
    expect(names).toHaveLength(32);
    expect(names.filter((name) => !name.startsWith('old-'))).toHaveLength(1);
  });
});

describe('code that may not be what was kept is not used', () => {
  const damage: Record<string, (file: string) => Promise<void>> = {
    'cut off': async (file) => {
      const content = await readFile(file);
      await writeFile(file, content.subarray(0, content.length / 2));
    },
    empty: (file) => writeFile(file, ''),
    // As a file system may leave it when the machine stops.
    'nothing but zeros': async (file) => {
      const {size} = await stat(file);
      await writeFile(file, Buffer.alloc(size));
    },
    'one byte changed': async (file) => {
      const content = await readFile(file);
      const middle = Math.floor(content.length / 2);
      content.writeUInt8(content.readUInt8(middle) ^ 1, middle);
      await writeFile(file, content);
    },
    'a file that others can read': (file) => chmod(file, 0o644),
    'a file that the group can write': (file) => chmod(file, 0o620),
    'a folder that the group can write': (file) => chmod(dirname(file), 0o770),
    'a folder above it that all can write': (file) => chmod(dirname(dirname(file)), 0o777),
    'a cache folder that all can write': () => chmod(cache, 0o777),
    'a link to a file': async (file) => {
      await rename(file, join(cache, 'elsewhere'));
      await symlink(join(cache, 'elsewhere'), file);
    },
    'a link to a folder': async (file) => {
      await rename(dirname(file), join(cache, 'elsewhere'));
      await symlink(join(cache, 'elsewhere'), dirname(file));
    },
    'a folder in its place': async (file) => {
      await rm(file);
      await mkdir(file);
    },
  };

  test.each(Object.keys(damage))('%s', async (name) => {
    await damage[name]!(await keepCodeOfTwin());
    expect(await health()).toBe(ANSWER);
    expect(await health()).toBe(ANSWER);
  });

  test.runIf(process.getuid?.() === 0).each(['file', 'folder'])("another user's %s", async (what) => {
    const file = await keepCodeOfTwin();
    await chown(what === 'file' ? file : dirname(file), OTHER_USER, OTHER_USER);
    expect(await health()).toBe(ANSWER);
    expect(await health()).toBe(ANSWER);
  });

  test.each(['cut off', 'one byte changed', 'a file that others can read'])('%s: is replaced', async (name) => {
    const file = await keepCodeOfTwin();
    await damage[name]!(file);
    await health();
    const {ino} = await stat(file);
    await health();
    expect((await stat(file)).ino).toBe(ino);
  });
});

describe('where nothing can be kept, nothing is said', () => {
  test.each([
    ['no HOME', {XDG_CACHE_HOME: '', HOME: ''}],
    ['a HOME that does not exist', {XDG_CACHE_HOME: '', HOME: '/nowhere/at/all'}],
    ['a relative XDG_CACHE_HOME', {XDG_CACHE_HOME: 'cache', HOME: ''}],
    ['a read-only folder', {XDG_CACHE_HOME: '/proc'}],
    ['a file in place of the folder', {XDG_CACHE_HOME: BIN}],
  ])('%s', async (_, env) => {
    const {code, stdout, stderr} = await tokengate(['get-budget', 'a'], env);
    expect({code, stdout, stderr}).toEqual({
      code: 0,
      stdout: 'Session: a\nBudget:    $20.0000\nSpent:     $1.5000\nRemaining: $18.5000\nUsed:      7.5%\n',
      stderr: '',
    });
  });
});

test('many first runs at once all succeed and leave one file', async () => {
  const outputs = await Promise.all(Array.from({length: 12}, () => health()));
  expect(new Set(outputs)).toEqual(new Set([ANSWER]));
  await cacheFile();
  expect(await health()).toBe(ANSWER);
});

test.each([
  [['--version']],
  [['health', '--help']],
  [['help', 'reset-session']],
  [['get-budget', 'a', '--json']],
  [['get-budget', 'nobody']],
  [['list-sessions']],
  [['set-budget', 'a']],
  [['nosuch']],
])('%j prints the same without kept code, with it, and unbundled', async (argv) => {
  const first = await tokengate(argv);
  expect(await tokengate(argv)).toEqual(first);
  expect(await tokengate(argv, {}, join(ROOT, 'bin/dev.js'))).toEqual(first);
});
