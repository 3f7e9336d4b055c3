import {chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import {openTerminal} from '../support/program/pty.js';
import {type Output, runBinary} from '../support/program/run.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';

const PASSWORD = 's3cret-word';

/** By what they are called in the tables below: each has a session of that name. */
const PLACES = ['flag', 'variable', 'file', 'default', 'named'] as const;
type Place = (typeof PLACES)[number];

let redis: TestRedis;
let folder: string;
let config: string;
/** The URLs of one server with several databases; with a password. */
let urls: Record<Place, string>;
beforeAll(async () => {
  redis = await startRedis({tcp: true, args: ['--requirepass', PASSWORD], password: PASSWORD});
  const address = redis.url.replace('//', `//:${PASSWORD}@`);
  urls = Object.fromEntries(PLACES.map((place, index) => [place, `${address}/${index + 1}`])) as typeof urls;
  for (const [index, place] of PLACES.entries()) {
    await redis.client.select(index + 1);
    await redis.client.set(`session:${place}:budget`, '1');
  }
  folder = await mkdtemp(join(tmpdir(), 'tokengate-contexts-'));
  config = join(folder, 'tokengate', 'config.yaml');
  await mkdir(join(folder, 'tokengate'));
  await writeFile(join(folder, 'url'), urls.file, {mode: 0o600});
});
afterAll(async () => {
  await redis.stop();
  await rm(folder, {recursive: true, force: true});
});

/** JSON is YAML. */
async function writeConfig(content: unknown, mode = 0o600): Promise<void> {
  await rm(config, {recursive: true, force: true});
  await writeFile(config, typeof content === 'string' ? content : JSON.stringify(content), {mode});
  await chmod(config, mode);
}

const writeTwo = (): Promise<void> =>
  writeConfig({default: 'home', contexts: {home: {'redis-url': urls.default}, prod: {'redis-url': urls.named}}});

const env = (more: Record<string, string> = {}): Record<string, string> => ({XDG_CONFIG_HOME: folder, ...more});
const run = (argv: string[], more?: Record<string, string>): Promise<Output> => runBinary(argv, {env: env(more)});
const failure = (message: string, hint?: string): Output => ({
  code: 1,
  stdout: '',
  stderr: `Error: ${message}\n${hint === undefined ? '' : `${hint}\n`}`,
});
/** What is sure to reach no one. */
const expectNoSecret = ({stdout, stderr}: Output): void => {
  expect(stdout + stderr).not.toContain(PASSWORD);
};

const COMMAND_HINT = 'Run it by hand to see what it says: it has to print the URL, and nothing else.';
const LIST = ['list-sessions', '--format', 'ids'];
const FLAG = (): string[] => ['--redis-url', urls.flag];
const FILE = (): string[] => ['--redis-url-file', join(folder, 'url')];
const CONTEXT = ['--context', 'prod'];
const URL_VARIABLE = (): Record<string, string> => ({TOKENGATE_REDIS_URL: urls.variable});
const FILE_VARIABLE = (): Record<string, string> => ({TOKENGATE_REDIS_URL_FILE: join(folder, 'url')});
const CONTEXT_VARIABLE = {TOKENGATE_CONTEXT: 'prod'};

describe.concurrent('the server is named by', () => {
  beforeAll(writeTwo);
  const none = (): Record<string, string> => ({});
  // First, since it waits for longest.
  test(
    'a redis-url-command, which may hang with what it started until its time is over',
    {timeout: 30_000},
    async () => {
      const own = join(folder, 'hangs.yaml');
      const content = {contexts: {prod: {'redis-url-command': ['/bin/sh', '-c', 'sleep 1000 & echo x; sleep 1000']}}};
      await writeFile(own, JSON.stringify(content), {mode: 0o600});
      expect(await run([...LIST, ...CONTEXT], {TOKENGATE_CONFIG: own})).toEqual(
        failure('The redis-url-command failed: /bin/sh did not end within 10 s.', COMMAND_HINT),
      );
    },
  );

  test.each<[string, () => string[], () => Record<string, string>, Place]>([
    ['--redis-url', FLAG, none, 'flag'],
    ['--redis-url-file', FILE, none, 'file'],
    ['--context', () => CONTEXT, none, 'named'],
    ['--context=NAME', () => ['--context=prod'], none, 'named'],
    ['TOKENGATE_REDIS_URL', () => [], URL_VARIABLE, 'variable'],
    ['TOKENGATE_REDIS_URL_FILE', () => [], FILE_VARIABLE, 'file'],
    ['TOKENGATE_CONTEXT', () => [], () => CONTEXT_VARIABLE, 'named'],
    ['the default of the file', () => [], none, 'default'],
    ['--redis-url before TOKENGATE_CONTEXT', FLAG, () => CONTEXT_VARIABLE, 'flag'],
    ['--redis-url-file before TOKENGATE_CONTEXT', FILE, () => CONTEXT_VARIABLE, 'file'],
    ['--context before TOKENGATE_REDIS_URL', () => CONTEXT, URL_VARIABLE, 'named'],
    ['--context before TOKENGATE_REDIS_URL_FILE', () => CONTEXT, FILE_VARIABLE, 'named'],
    ['--context before TOKENGATE_CONTEXT', () => CONTEXT, () => ({TOKENGATE_CONTEXT: 'home'}), 'named'],
    ['--context before both variables', () => CONTEXT, () => ({...CONTEXT_VARIABLE, ...URL_VARIABLE()}), 'named'],
    ['--redis-url before both variables', FLAG, () => ({...CONTEXT_VARIABLE, ...URL_VARIABLE()}), 'flag'],
  ])('%s', async (_, flags, variables, place) => {
    const warned = flags().includes('--redis-url') ? expect.stringContaining('Other users of this machine') : '';
    const answer = {code: 0, stdout: `${place}\n`, stderr: warned};
    expect(await run([...LIST, ...flags()], variables())).toEqual(answer);
    expect(await run([...flags(), ...LIST], variables())).toEqual(answer);
    const {code, screen} = await openTerminal([...flags(), ...LIST], {env: env(variables())}).ended;
    expect({code, screen: screen.split('\r\n')[0]}).toEqual({code: 0, screen: place});
  });

  test.each<[string, () => string[], () => Record<string, string>, string, string]>([
    [
      '--context and --redis-url',
      () => [...CONTEXT, ...FLAG()],
      none,
      'Both --context and --redis-url are given.',
      'Give one.',
    ],
    [
      '--context and --redis-url-file',
      () => [...FILE(), ...CONTEXT],
      none,
      'Both --context and --redis-url-file are given.',
      'Give one.',
    ],
    [
      'TOKENGATE_CONTEXT and TOKENGATE_REDIS_URL',
      () => [],
      () => ({...CONTEXT_VARIABLE, ...URL_VARIABLE()}),
      'Both TOKENGATE_CONTEXT and TOKENGATE_REDIS_URL are set.',
      'Unset one, or give --context, --redis-url or --redis-url-file.',
    ],
    [
      'TOKENGATE_CONTEXT and TOKENGATE_REDIS_URL_FILE',
      () => [],
      () => ({...CONTEXT_VARIABLE, ...FILE_VARIABLE()}),
      'Both TOKENGATE_CONTEXT and TOKENGATE_REDIS_URL_FILE are set.',
      'Unset one, or give --context, --redis-url or --redis-url-file.',
    ],
    [
      'an empty TOKENGATE_CONTEXT',
      () => [],
      () => ({TOKENGATE_CONTEXT: ''}),
      'TOKENGATE_CONTEXT is set, but empty.',
      'Unset it for redis://localhost:6379, or give --redis-url.',
    ],
    [
      'an unknown name',
      () => ['--context', 'pord'],
      none,
      "There is no context 'pord' in CONFIG.",
      'Contexts: home, prod.',
    ],
  ])('%s is an error', async (_, flags, variables, message, hint) => {
    const expected = failure(message.replace('CONFIG', config), hint);
    expect(await run([...LIST, ...flags()], variables())).toEqual(expected);
    expect(await run([...flags(), ...LIST], variables())).toEqual(expected);
  });
});

describe('the context file', () => {
  beforeEach(writeTwo);

  test('is none of these, so that it is localhost', async () => {
    await rm(config);
    const {code, stdout} = await run(['list-contexts']);
    expect({code, stdout}).toEqual({
      code: 0,
      stdout: `No contexts in ${config}\nIn effect: no context, but redis://localhost:6379\n`,
    });
    expect(await run([...LIST, ...CONTEXT])).toEqual(
      failure(
        `There is no context 'prod' in ${config}.`,
        'It has no contexts. Make one with: tokengate add-context NAME --redis-url URL',
      ),
    );
  });

  test('is what TOKENGATE_CONFIG names, which has to be there', async () => {
    const named = join(folder, 'other.yaml');
    await writeFile(named, 'contexts: {}', {mode: 0o644});
    expect((await run(['list-contexts'], {TOKENGATE_CONFIG: named})).stdout).toContain(`No contexts in ${named}`);
    const {code, stderr} = await run(LIST, {TOKENGATE_CONFIG: join(folder, 'absent.yaml')});
    expect(code).toBe(1);
    expect(stderr).toContain(`The context file '${join(folder, 'absent.yaml')}' does not exist.`);
  });

  test.each([0o644, 0o640, 0o620, 0o604])('with a password and mode %o is refused', async (mode) => {
    await chmod(config, mode);
    expect(await run([...LIST, ...CONTEXT])).toEqual(
      failure(`The context file '${config}' can be read by other users.`, `Make it your own: chmod 600 ${config}`),
    );
    // Where no context can matter it is not read.
    expect((await run([...LIST], URL_VARIABLE())).code).toBe(0);
    expect((await run([...LIST, ...FILE()])).code).toBe(0);
  });

  test('without a password or a program may be read by all', async () => {
    await writeConfig({contexts: {prod: {'redis-url-file': '../url'}}}, 0o644);
    expect(await run([...LIST, ...CONTEXT])).toEqual({code: 0, stdout: 'file\n', stderr: ''});
  });

  test.each([
    ['/proc/nohome', {}, 'there is no such folder'],
    ['/dev/null', {}, 'there is no such folder'],
    ['/', process.getuid?.() === 0 ? {uid: 65_534} : {}, 'permission denied'],
    ['', {}, 'there is no such folder'],
  ])('is not made in the folder %j, and why', async (home, as, why) => {
    const add = ['add-context', 'new', '--redis-url', 'redis://h'];
    const output = await runBinary(add, {env: {HOME: home, XDG_CONFIG_HOME: ''}, cwd: folder, ...as});
    expect(output).toMatchObject({code: 1, stdout: ''});
    expect(output.stderr).toMatch(/^Error: Cannot write '/);
    expect(output.stderr).toContain(why);
  });

  test.runIf(process.getuid?.() === 0)('has to be the own one of who runs it', async () => {
    await chmod(folder, 0o755);
    const output = await runBinary([...LIST, ...CONTEXT], {env: {...env(), HOME: '/nonexistent'}, uid: 65_534});
    expect(output).toEqual(failure(`The context file '${config}' may not be read.`));
  });

  test('may be a link', async () => {
    const target = join(folder, 'target.yaml');
    await writeFile(target, await readFile(config), {mode: 0o600});
    await rm(config);
    await symlink(target, config);
    expect((await run([...LIST, ...CONTEXT])).stdout).toBe('named\n');
    expect((await run(['add-context', 'more', '--redis-url', 'redis://h'])).code).toBe(0);
    expect(await readFile(target, 'utf8')).toContain('more');
  });

  test('that TOKENGATE_CONFIG names is made by add-context', async () => {
    const named = join(folder, 'new', 'own.yaml');
    const more = {TOKENGATE_CONFIG: named};
    expect((await run(['add-context', 'prod', '--redis-url', urls.named], more)).code).toBe(0);
    expect((await stat(named)).mode & 0o777).toBe(0o600);
    expect((await run([...LIST, ...CONTEXT], more)).stdout).toBe('named\n');
  });

  test.each([
    ['a folder', () => mkdir(config), 'is a folder'],
    ['a link to itself', () => symlink(config, config), 'is a link that leads to itself'],
    ['a link that leads nowhere', () => symlink('nowhere', config), 'does not exist'],
    ['a device', () => symlink('/dev/zero', config), 'is not an ordinary file'],
  ])('%s is refused', async (_, make, why) => {
    await rm(config);
    await make();
    for (const argv of [['list-contexts'], LIST]) {
      expect(await run(argv)).toEqual(failure(`The context file '${config}' ${why}.`));
    }
  });

  test('with a mistake names line and column, whatever the command', async () => {
    await writeConfig('contexts:\n  prod:\n    redis-ulr: redis://h\n');
    const message = `Invalid context file '${config}', line 3, column 5: unknown field 'redis-ulr' in the context 'prod'.`;
    for (const argv of [
      LIST,
      [...LIST, ...CONTEXT],
      ['list-contexts'],
      ['add-context', 'a', '--redis-url', 'redis://h'],
    ]) {
      const {code, stdout, stderr} = await run(argv);
      expect({code, stdout}).toEqual({code: 1, stdout: ''});
      expect(stderr).toContain(message);
    }
    const {stderr} = await run([...LIST, '--json']);
    expect(JSON.parse(stderr)).toMatchObject({error: {code: 'INVALID_CONFIG', message}});
  });

  test('of a missing file with the URL says so', async () => {
    await writeConfig({contexts: {prod: {'redis-url-file': '../absent'}}});
    expect(await run([...LIST, ...CONTEXT])).toEqual(
      failure(`The URL file '${join(folder, 'absent')}' does not exist.`),
    );
  });

  test('gives way to flags and variables', async () => {
    await writeConfig({contexts: {prod: {'redis-url': urls.named, timeout: 2, 'tls-ca': 'ca.pem'}}});
    const {stderr} = await run([...LIST, ...CONTEXT]);
    expect(stderr).toContain('There are TLS settings, but the URL does not use TLS.');
    expect((await run([...LIST, ...CONTEXT, '--timeout', 'x'])).stderr).toContain("'x' is not a time limit");
    expect((await run([...LIST, ...CONTEXT], {TOKENGATE_TIMEOUT: 'y'})).stderr).toContain("'y' is not a time limit");
  });
});

describe('redis-url-command', () => {
  beforeEach(writeTwo);

  const script = (text: string): string[] => ['/bin/sh', '-c', text];
  const use = async (command: unknown, argv = [...LIST, ...CONTEXT]): Promise<Output> => {
    await writeConfig({contexts: {prod: {'redis-url-command': command}}});
    return run(argv);
  };

  test.each([
    ['with a line feed', (url: string) => `echo '${url}'`],
    ['without one', (url: string) => `printf %s '${url}'`],
    ['with the one of Windows', (url: string) => `printf '%s\\r\\n' '${url}'`],
    ['and says something to stderr', (url: string) => `echo '${PASSWORD}' >&2; echo '${url}'`],
  ])('prints the URL %s', async (_, text) => {
    await writeFile(join(folder, 'tokengate', 'text'), text(urls.named), {mode: 0o600});
    expect(await use(['/bin/sh', join(folder, 'tokengate', 'text')])).toEqual({code: 0, stdout: 'named\n', stderr: ''});
  });

  test('is no line for a shell, and is found beside the file', async () => {
    const program = join(folder, 'tokengate', 'url');
    await writeFile(program, `#!/bin/sh\n[ "$1" = '$(id); x' ] && echo '${urls.named}'\n`, {mode: 0o700});
    expect(await use(['./url', '$(id); x'])).toEqual({code: 0, stdout: 'named\n', stderr: ''});
  });

  test('gets nothing of stdin', async () => {
    await writeConfig({contexts: {prod: {'redis-url-command': script(`cat; echo '${urls.named}'`)}}});
    const output = await runBinary([...CONTEXT, 'reset-session', '--stdin', '--dry-run'], {
      env: env(),
      input: 'named\n',
    });
    expect(output).toMatchObject({code: 0, stdout: expect.stringContaining("Would reset session 'named'")});
  });

  test.each([
    ['fails', `echo ${PASSWORD}; exit 3`, 'exited with 3'],
    ['is ended', `echo ${PASSWORD}; kill -9 $$`, 'was ended by SIGKILL'],
    ['prints nothing', 'true', 'printed nothing'],
    ['prints an empty line', 'echo', 'printed nothing'],
    ['prints two lines', `echo ${PASSWORD}; echo ${PASSWORD}`, 'printed more than one line'],
    ['prints too much', `yes ${PASSWORD}`, 'printed more than 64 KiB'],
  ])('that %s is an error, which shows nothing of it', async (_, text, why) => {
    const output = await use(script(text));
    expect(output).toEqual(failure(`The redis-url-command failed: /bin/sh ${why}.`, COMMAND_HINT));
    const {stderr} = await run([...LIST, ...CONTEXT, '--json']);
    expect(JSON.parse(stderr)).toMatchObject({error: {code: 'URL_COMMAND_FAILED'}});
    expectNoSecret(output);
  });

  test('that there is not is an error', async () => {
    expect(await use(['no-such-program-of-mine'])).toEqual(
      failure('The redis-url-command failed: no-such-program-of-mine cannot be started (ENOENT).', COMMAND_HINT),
    );
  });

  test('that prints no URL is an error, which shows nothing of it', async () => {
    const output = await use(script(`echo ${PASSWORD}`));
    expect(output).toMatchObject({code: 1, stdout: '', stderr: expect.stringContaining('it has no scheme')});
    expectNoSecret(output);
  });

  test('is never run by a TAB', async () => {
    const mark = join(folder, 'was-run');
    await writeConfig({contexts: {prod: {'redis-url-command': script(`touch ${mark}; echo '${urls.named}'`)}}});
    const line = 'tokengate --context prod get-budget ';
    const {code} = await runBinary(['__complete', 'bash'], {env: env({TOKENGATE_COMPLETE_LINE: line})});
    expect(code).toBe(0);
    await expect(stat(mark)).rejects.toThrow('ENOENT');
  });
});

describe('no secret is seen', () => {
  beforeEach(writeTwo);

  test('in a command line, while it runs', async () => {
    const program = join(folder, 'tokengate', 'look');
    await writeFile(
      program,
      `#!/bin/sh\ncat /proc/[0-9]*/cmdline | tr '\\0' ' ' > ${folder}/seen\necho '${urls.named}'\n`,
      {mode: 0o700},
    );
    await writeConfig({contexts: {prod: {'redis-url-command': ['./look']}}});
    expect((await run([...LIST, ...CONTEXT])).stdout).toBe('named\n');
    const seen = await readFile(join(folder, 'seen'), 'utf8');
    expect(seen).toContain('--context prod');
    expect(seen.split(' ').filter((word) => word.startsWith('redis://') && word.includes(urls.named))).toEqual([]);
  });

  test.each([
    ['a list', ['list-contexts']],
    ['a list in JSON', ['list-contexts', '--json']],
    ['a health check', ['health', ...CONTEXT]],
    ['an explanation', ['explain-session', 'named', ...CONTEXT]],
    ['what is shown for debugging', ['health', ...CONTEXT, '--json']],
    ['an error of the connection', ['health', '--context', 'gone']],
    ['what is added', ['add-context', 'more', '--redis-url', 'redis://:s3cret-word@h']],
  ])('in %s', async (_, argv) => {
    const gone = `redis://:${PASSWORD}@127.0.0.1:1`;
    await writeConfig({contexts: {prod: {'redis-url': urls.named}, gone: {'redis-url': gone}}});
    expectNoSecret(await run(argv, {DEBUG: '*', TOKENGATE_DEBUG: '1'}));
  });
});

describe('completion', () => {
  beforeEach(writeTwo);

  const complete = async (line: string, more?: Record<string, string>): Promise<string[]> => {
    const {code, stdout} = await runBinary(['__complete', 'zsh'], {env: env({TOKENGATE_COMPLETE_LINE: line, ...more})});
    expect(code).toBe(0);
    return stdout
      .trim()
      .split('\n')
      .slice(1)
      .map((row) => row.replace(/\t.*/, ''));
  };

  test('offers the names of contexts, and does not connect', async () => {
    await writeConfig({
      contexts: {
        prod: {'redis-url': 'redis://127.0.0.1:1'},
        preview: {'redis-url': 'redis://127.0.0.1:1'},
        home: {'redis-url-file': 'x'},
      },
    });
    expect(await complete('tokengate --context ')).toEqual(['prod', 'preview', 'home']);
    expect(await complete('tokengate get-budget --context p')).toEqual(['prod', 'preview']);
    expect(await complete('tokengate get-budget --context=pro')).toEqual(['--context=prod']);
    expect(await complete('tokengate remove-context h')).toEqual(['home']);
  });

  test('offers IDs of the context that is typed, that a variable names, or that is the default', async () => {
    expect(await complete('tokengate --context prod get-budget ')).toContain('named');
    expect(await complete('tokengate get-budget --context=prod ')).toContain('named');
    expect(await complete('TOKENGATE_CONTEXT=prod tokengate get-budget ')).toContain('named');
    expect(await complete('tokengate get-budget ', CONTEXT_VARIABLE)).toContain('named');
    expect(await complete('tokengate get-budget ')).toContain('default');
  });

  test('offers nothing where the file is wrong, and reads it only where it matters', async () => {
    await writeConfig('contexts: [', 0o644);
    expect(await complete('tokengate --context ')).toEqual([]);
    expect(await complete('tokengate get-budget ')).toEqual([]);
    expect(await complete('tokengate get-b')).toEqual(['get-budget']);
    expect(await complete('tokengate get-budget ', URL_VARIABLE())).toContain('variable');
  });
});
