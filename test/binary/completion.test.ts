import {mkdir, readFile} from 'node:fs/promises';
import {createServer, type Server} from 'node:net';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {Language, Parser} from 'web-tree-sitter';

import {SETUPS} from '../../src/cli/completion/scripts.js';
import {runBinary, runProcess} from '../support/program/run.js';
import {makeShell, type Shell} from '../support/program/shell.js';
import {type InteractiveShell, openShell, type ShellName} from '../support/program/tab.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';
import {ROOT} from '../support/root.js';

const SHELLS: ShellName[] = ['bash', 'zsh', 'fish'];

/** By what is typed of each; no two begin the same way. */
const IDS: Record<string, string> = {
  te: 'team:alpha nightly',
  it: "it's mine",
  say: 'say "hi"',
  dol: 'dollar$HOME',
  st: 'st*r',
  back: 'back\\slash \\',
  ключ: 'ключ один',
  x: 'x=1',
  eq: 'eq:x= y',
  'eq:': 'eq:x= y',
  'eq:x=': 'eq:x= y',
  '-- -d': '-dash it',
  ban: 'bang!x!',
  cur: 'curly{1,2}',
  '\\~': '~home',
  '\\#': '#hash',
  'and\\&': 'and&b;c|d<e>f',
  que: 'que?[x]',
  '\\(': '(paren)',
  '\\`': '`tick`',
  émo: 'émoji 🎉',
  日本: '日本 語',
  '%': '%1',
  '\\^': '^caret',
  at: 'at@host, or',
};
/** Never offered: what they would do to a terminal nobody wants to have typed. */
const UNSAFE = ['unsafe\nline', 'unsafe\ttab', 'unsafe\x1b[2J', 'unsafe\u202e', 'unsafe\u200b'];
const MORE = {'many a': 'f', many$b: 'f', 'cold one': '2999-01-01T00:00:00', 'cold two': '2001-01-01T00:00:00'};

let redis: TestRedis;
let shell: Shell;
beforeAll(async () => {
  redis = await startRedis({tcp: true});
  shell = await makeShell();
  for (const id of [...Object.values(IDS), ...UNSAFE, ...Object.keys(MORE)])
    await redis.client.set(`session:${id}:budget`, '10.0');
  for (const [id, end] of Object.entries(MORE)) {
    if (end !== 'f') await redis.client.set(`anomaly:${id}:frozen_until`, end);
  }
  await redis.client.set('tokengate:grants:cold two', '[]');
});
afterAll(async () => {
  await redis.stop();
  await shell.remove();
});

/** Milliseconds that a busy machine may take; what is about the limit itself leaves it alone. */
const PATIENT = '30000';

const PATH = (): string => `${shell.folder}:${process.env['PATH'] ?? ''}`;

describe.each(SHELLS)('in %s, set up by its one line', (name) => {
  let terminal: InteractiveShell;
  beforeAll(async () => {
    const options = {
      home: shell.folder,
      setup: SETUPS[name].line,
      url: redis.url,
      env: {PATH: PATH(), TOKENGATE_COMPLETION_MS: PATIENT},
    };
    terminal = await openShell(name, options);
  });
  afterAll(() => terminal.close());

  test('two TABs make a line that runs', async () => {
    expect(await terminal.lineAfter('tokengate get-b\t tea\t')).toMatch(
      /^tokengate get-budget {1,2}team:alpha\\ nightly $/,
    );
    expect(await terminal.run('tokengate get-b\t tea\t')).toContain('Session: team:alpha nightly');
  });

  test.each(Object.entries(IDS))('an ID reaches the command as it is: %s → %s', async (typed, id) => {
    const shown = await terminal.run(`tokengate get-budget --json ${typed}\t`);
    expect(shown).toContain(`"session_id": ${JSON.stringify(id)}`);
  });

  test.each([
    ["'te", "'team:alpha nightly' "],
    ['"te', '"team:alpha nightly" '],
    ["'team:al", "'team:alpha nightly' "],
    ['team:alpha\\ n', 'team:alpha\\ nightly '],
    ['"say', '"say \\"hi\\"" '],
    ["'say", `'say "hi"' `],
    ['"it', `"it's mine" `],
    ['"doll', '"dollar\\$HOME" '],
  ])('a quote that is open is closed: %s', async (typed, completed) => {
    expect(await terminal.lineAfter(`tokengate get-budget ${typed}\t`)).toBe(`tokengate get-budget ${completed}`);
  });

  test("an apostrophe in the shell's own single quotes", async () => {
    expect(await terminal.run("tokengate get-budget --json 'it\t")).toContain(`"session_id": "it's mine"`);
  });

  test.each([
    // As far as the short name and the name go together.
    ['tokengate fr', 'tokengate freeze'],
    ['tokengate freeze-', 'tokengate freeze-session '],
    ['tokengate --js', 'tokengate --json '],
    ['tokengate --json get-b', 'tokengate --json get-budget '],
    ['tokengate list-sessions --form', 'tokengate list-sessions --format '],
    ['tokengate list-sessions --format nd', 'tokengate list-sessions --format ndjson '],
    ['tokengate list-sessions --format=nd', 'tokengate list-sessions --format=ndjson '],
    ['tokengate list-sessions --sort rem', 'tokengate list-sessions --sort remaining '],
    ['tokengate list-sessions --columns id,rem', 'tokengate list-sessions --columns id,remaining '],
    ['tokengate freeze-session x=1 --rea', 'tokengate freeze-session x=1 --reason '],
    ['tokengate freeze-session x=1 tea', 'tokengate freeze-session x=1 team:alpha\\ nightly '],
    ['tokengate freeze-session --for 2h tea', 'tokengate freeze-session --for 2h team:alpha\\ nightly '],
    ['tokengate list sessions --rev', 'tokengate list sessions --reverse '],
    ['tokengate unfreeze-session ', 'tokengate unfreeze-session cold\\ one '],
    ['tokengate revoke-grant ', 'tokengate revoke-grant cold\\ two '],
    ['tokengate set-period x=1 --timezone Europe/Berl', 'tokengate set-period x=1 --timezone Europe/Berlin '],
    ['tokengate set-period x=1 --timezone UT', 'tokengate set-period x=1 --timezone UTC '],
    ['tokengate help anom', 'tokengate help anomaly-stats '],
    ['tokengate autocomplete scr', 'tokengate autocomplete script '],
    ['tokengate autocomplete script f', 'tokengate autocomplete script fish '],
    ['true; tokengate get-budget tea', 'true; tokengate get-budget team:alpha\\ nightly '],
    ['tokengate --redis-url redis://127.0.0.1:1 get-budget tea', undefined],
    ['tokengate get-budget --redis-url=redis://127.0.0.1:1 tea', undefined],
    ['tokengate --redis-url nonsense get-budget tea', undefined],
    ['tokengate --redis-url "$NOT_SET_ANYWHERE" get-budget tea', undefined],
    ['tokengate get-budget unsafe', undefined],
    ['tokengate get-budget te*', undefined],
    ['tokengate get-budget nobody', undefined],
    ['tokengate set-budget x=1 ', undefined],
    ['tokengate nothing-known ', undefined],
  ])('%s', async (typed, completed = typed) => {
    expect(await terminal.lineAfter(`${typed}\t`)).toBe(completed);
  });

  test('what is offered is shown with what it is', async () => {
    const {stdout} = await runBinary(['set-budget', 'described', '7', '--json'], {url: redis.url});
    const {change_id: change} = JSON.parse(stdout) as {change_id: string};
    await runBinary(['set-budget', 'described', '8'], {url: redis.url});
    // One more in case that IDs begin with the same letter, which the first puts in.
    expect(await terminal.run('tokengate undo-change \t\t\t\x15')).toMatch(new RegExp(`${change} .*set-budget`));
  });

  test('a variable of the shell gives the URL', async () => {
    await terminal.run(name === 'fish' ? `set other ${redis.url}` : `other=${redis.url}`);
    await terminal.run(
      name === 'fish' ? 'set -gx TOKENGATE_REDIS_URL nonsense' : 'export TOKENGATE_REDIS_URL=nonsense',
    );
    const typed = 'tokengate --redis-url "$other" get-budget tea';
    expect(await terminal.lineAfter(`${typed}\t`)).toBe(`${typed}m:alpha\\ nightly `);
    expect(await terminal.lineAfter('tokengate get-budget tea\t')).toBe('tokengate get-budget tea');
    const url = `'${redis.url}'`;
    await terminal.run(name === 'fish' ? `set -gx TOKENGATE_REDIS_URL ${url}` : `export TOKENGATE_REDIS_URL=${url}`);
  });

  test('what several have in common is put in, with quotes that hold', async () => {
    expect(await terminal.lineAfter('tokengate get-budget ma\t')).toMatch(/^tokengate get-budget ('many|many\\?)$/);
    expect(await terminal.run("tokengate get-budget --json 'many \t")).toContain('"session_id": "many a"');
  });

  test('the script leaves nothing behind but its function', async () => {
    const list = name === 'fish' ? 'set -n' : name === 'zsh' ? 'print -l ${(k)parameters}' : 'compgen -v';
    const before = words(await terminal.run(list));
    await terminal.lineAfter('tokengate --redis-url $HOME get-budget tea\t');
    const added = [...words(await terminal.run(list))].filter((word) => !before.has(word));
    expect(
      added.filter((word) => /^(line|row|rows|names|reply|rest|values|texts|variables|name|tokengate)$/i.test(word)),
    ).toEqual([]);
  });
});

describe('in fish, where the man page is installed', () => {
  test('only the flags of the command are offered, with their own descriptions', async () => {
    const home = await makeShell();
    const generated = join(home.folder, '.local/share/fish/generated_completions');
    await mkdir(generated, {recursive: true});
    const {stdout: data} = await runProcess('fish', ['-c', 'echo -n $__fish_data_dir']);
    // What `fish_update_completions` runs for each man page.
    const tool = join(data, 'tools/create_manpage_completions.py');
    await runProcess('python3', [tool, '--directory', generated, join(ROOT, 'dist/tokengate.1')]);
    expect(await readFile(join(generated, 'tokengate.fish'), 'utf8')).toContain('-l new-only');
    const terminal = await openShell('fish', {
      home: home.folder,
      setup: SETUPS.fish.line,
      url: redis.url,
      env: {PATH: PATH(), TOKENGATE_COMPLETION_MS: PATIENT},
    });
    const offered = (await terminal.run('complete -C "tokengate get-budget x=1 --"')).match(/^--[\w-]+/gm) ?? [];
    const typed = [await terminal.lineAfter('tokengate get-budget x=1 --new\t')];
    typed.push(await terminal.lineAfter('tokengate get-budget x=1 --redis-url-f\t'));
    await terminal.close();
    await home.remove();
    const {stdout: help} = await runBinary(['get-budget', '--help']);
    const {stdout: globals} = await runBinary(['help', 'flags']);
    const flags = [...`${help}\n${globals}`.matchAll(/^ +(?:-\w, )?(--[\w-]+)/gm)].map(([, flag = '']) => flag);
    expect(offered).not.toEqual([]);
    expect(offered.filter((flag) => !flags.includes(flag))).toEqual([]);
    expect(typed).toEqual(['tokengate get-budget x=1 --new', 'tokengate get-budget x=1 --redis-url-file ']);
  });
});

function words(text: string): Set<string> {
  return new Set(text.split(/\s+/));
}

/** What a script gets for one TAB. */
const press = (
  line: string,
  {url = redis.url, shell: name = 'zsh', env = {}}: {url?: string; shell?: string; env?: Record<string, string>} = {},
) =>
  runBinary(['__complete', name], {
    url,
    env: {TOKENGATE_COMPLETE_LINE: line, TOKENGATE_COMPLETION_MS: PATIENT, ...env},
  });

const NOTHING = {code: 0, stdout: '', stderr: ''};

describe('one TAB', () => {
  test.each([
    'health',
    'get-budget te',
    'list-sessions --frozen --bad --so',
    '"',
    "'",
    '$(',
    '`',
    '\\',
    '--',
    '--=',
    '--format=',
    '=',
    '|',
    '>',
    '',
  ])('never fails: tokengate %s', async (typed) => {
    expect(await press(`tokengate ${typed}`)).toMatchObject({code: 0, stderr: ''});
  });

  test.each([
    ['nothing listens', 'redis://127.0.0.1:1'],
    ['the host has no address', 'redis://not..a..name:1'],
    ['the URL is none', 'nonsense'],
    ['the URL is empty', ''],
    ['the password is wrong', 'redis://:wrong@127.0.0.1:6'],
    ['the socket is missing', 'unix:///nowhere.sock'],
    ['TLS fails', 'rediss://127.0.0.1:1'],
  ])('says nothing when %s', async (_, url) => {
    expect(await press('tokengate get-budget te', {url})).toEqual(NOTHING);
  });

  test('says nothing when the password or the database is wrong', async () => {
    const {host} = new URL(redis.url);
    expect(await press('tokengate get-budget te', {url: `redis://:wrong@${host}`})).toEqual(NOTHING);
    expect(await press('tokengate get-budget te', {url: `redis://${host}/1`})).toEqual(NOTHING);
    expect(await press('tokengate get-budget te', {url: `redis://${host}/99`})).toEqual(NOTHING);
  });

  test('gives up on a server that does not answer', async () => {
    const server = await listen(() => undefined);
    expect(await press('tokengate get-budget te', {url: urlOf(server), env: {TOKENGATE_COMPLETION_MS: ''}})).toEqual(
      NOTHING,
    );
    server.close();
  });

  test('gives up on a scan that does not end, but knows an ID that is typed in full', async () => {
    const server = await listen((command) =>
      command === 'SCAN'
        ? '*2\r\n$1\r\n7\r\n*1\r\n$19\r\nsession:te-1:budget\r\n'
        : command === 'EXISTS'
          ? ':1\r\n'
          : ':900\r\n',
    );
    expect(
      await press('tokengate get-budget te', {url: urlOf(server), env: {TOKENGATE_COMPLETION_MS: '3000'}}),
    ).toEqual({
      ...NOTHING,
      stdout: 'values\nte\t\n',
    });
    server.close();
  });

  test('gives up on what is no Redis', async () => {
    const server = await listen(() => 'HTTP/1.1 400 Bad Request\r\n\r\n');
    expect(await press('tokengate get-budget te', {url: urlOf(server)})).toEqual(NOTHING);
    server.close();
  });

  test('of many it offers 200 that have in common what all have', async () => {
    await redis.client.select(2);
    await redis.client.mSet(
      Object.fromEntries(Array.from({length: 3000}, (_, index) => [`session:n${index}:budget`, '1'] as const)),
    );
    await redis.client.mSet({'session:nz*[a:budget': '1', 'session:nz*[b:budget': '1', 'session:nz?x:budget': '1'});
    await redis.client.select(0);
    const url = `${redis.url}/2`;
    const lines = (await press('tokengate get-budget n', {url})).stdout.trim().split('\n').slice(1);
    expect(lines).toHaveLength(200);
    expect(lines.at(-1)).toBe('nz?x');
    expect((await press("tokengate get-budget 'nz*[", {url})).stdout).toBe('values\nnz*[a\t\nnz*[b\t\n');
  });

  test('asks for nothing but what it needs', async () => {
    const commands: string[] = [];
    const server = await listen((command) => {
      commands.push(command);
      return command === 'SCAN' ? '*2\r\n$1\r\n0\r\n*0\r\n' : ':0\r\n';
    });
    await press('tokengate get-budget te', {url: urlOf(server)});
    expect(commands).toEqual(['HELLO', 'DBSIZE', 'TIME', 'EXISTS', 'SCAN']);
    commands.length = 0;
    await press('tokengate get-b', {url: urlOf(server)});
    await press('tokengate list-sessions --format ', {url: urlOf(server)});
    expect(commands).toEqual([]);
    server.close();
  });

  test('does not take the answer of a server that was not meant', async () => {
    const typed = 'tokengate --redis-url "$(cat url)" get-budget te';
    expect(await press(typed)).toEqual(NOTHING);
    expect(await press('tokengate --redis-url $NOWHERE get-budget te')).toEqual(NOTHING);
    expect(await press(`TOKENGATE_REDIS_URL=$NOWHERE tokengate get-budget te`)).toEqual(NOTHING);
  });

  test('the script for PowerShell has no syntax error', async () => {
    await Parser.init();
    const parser = new Parser();
    parser.setLanguage(
      await Language.load(join(ROOT, 'node_modules/tree-sitter-powershell/tree-sitter-powershell.wasm')),
    );
    const hasError = (text: string): boolean | undefined => parser.parse(text)?.rootNode.hasError;
    const script = await readFile(join(ROOT, 'completions/tokengate.ps1'), 'utf8');
    expect(hasError(script)).toBe(false);
    expect(hasError(script.replace('} catch {', '} catch ('))).toBe(true);
    expect(hasError(script.replace("'Env:", 'Env:'))).toBe(true);
  });

  test('PowerShell gets JSON in ASCII, quoted for it', async () => {
    const typed = (current: string, words = ['get-budget']): string => JSON.stringify({words, current});
    const {stdout} = await press(typed('ключ'), {shell: 'powershell'});
    expect(stdout).toMatch(/^[\x20-\x7e]*$/);
    expect(JSON.parse(stdout)).toEqual([{text: "'ключ один'", shown: 'ключ один', tip: 'ключ один'}]);
    const rows = JSON.parse((await press(typed('it'), {shell: 'powershell'})).stdout) as unknown;
    expect(rows).toEqual([{text: "'it''s mine'", shown: "it's mine", tip: "it's mine"}]);
    const flags = JSON.parse((await press(typed('--js'), {shell: 'powershell'})).stdout) as {text: string}[];
    expect(flags.map(({text}) => text)).toEqual(['--json']);
    expect(await press('no JSON', {shell: 'powershell'})).toEqual(NOTHING);
  });
});

/** A server that answers each command as told, of which it knows the names that are used here. */
async function listen(answer: (command: string) => string | undefined): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      for (const [command] of String(data).matchAll(/^(HELLO|DBSIZE|TIME|EXISTS|SCAN)(?=\r$)/gm)) {
        socket.write(answer(command) ?? '');
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

function urlOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return `redis://127.0.0.1:${address.port}`;
}
