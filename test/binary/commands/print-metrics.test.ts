import {readdirSync, watch} from 'node:fs';
import {chmod, lstat, mkdir, readdir, readFile, readlink, stat, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';

import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, test} from 'vitest';

import {freePort} from '../../support/ports.js';
import {promtool} from '../../support/program/promtool.js';
import {openTerminal} from '../../support/program/pty.js';
import {type Output, runBinary} from '../../support/program/run.js';
import {loadSessions, makeShell, type Shell} from '../../support/program/shell.js';
import {startRedis, type TestRedis} from '../../support/redis/redis-server.js';

let redis: TestRedis;
let shell: Shell;
let out: string;
beforeAll(async () => (redis = await startRedis()));
beforeEach(async () => {
  await redis.client.flushDb();
  await loadSessions(redis, {calm: ['100', '1'], high: ['50.00', '47.10']});
  shell = await makeShell();
  await mkdir(join(shell.folder, 'metrics'));
  out = join(shell.folder, 'metrics', 'tokengate.prom');
});
afterEach(() => shell.remove());
afterAll(() => redis.stop());

const print = (...argv: string[]): Promise<Output> => runBinary(['print-metrics', ...argv], redis);
const neutral = (text: string): string => text.replace(/_seconds [\d.]+$/gm, '_seconds <number>');
const modeOf = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8);

test('what is printed passes the check of Prometheus', async () => {
  const {code, stdout, stderr} = await print();
  expect({code, stderr}).toEqual({code: 0, stderr: ''});
  expect(await promtool(['check', 'metrics'], stdout)).toEqual({code: 0, stdout: '', stderr: ''});
});

test('a reader that goes early is no error', async () => {
  await redis.client.sendCommand([
    'EVAL',
    "for i = 1, 3000 do redis.call('SET', 'session:' .. string.rep('m', 90) .. i .. ':budget', '1') end",
    '0',
  ]);
  const {stdout, stderr} = await shell.run('tokengate print-metrics --max-series 4000 | head -1', redis);
  expect({stdout, stderr}).toEqual({
    stdout: '# HELP tokengate_all_sessions_budget_usd Budgets of all sessions, in US dollars.\n',
    stderr: '',
  });
});

test('on a terminal no ID acts on it', async () => {
  await loadSessions(redis, {'evil\u001b[31m\nname': ['1']});
  const {screen} = await openTerminal(['print-metrics', '--match', 'evil*'], {url: redis.url, columns: 200}).ended;
  expect(screen).not.toContain('\u001b');
  expect(screen).toContain(String.raw`{session_id="evil\\x1b[31m\\nname"} 1`);
});

describe('--out', () => {
  test('writes what would be printed, for everybody to read, and prints nothing', async () => {
    const script = `umask 077; tokengate print-metrics --out '${out}'`;
    expect(await shell.run(script, redis)).toEqual({code: 0, stdout: '', stderr: ''});
    expect(neutral(await readFile(out, 'utf8'))).toBe(neutral((await print()).stdout));
    expect(await modeOf(out)).toBe('644');
    await chmod(out, 0o600);
    expect(await shell.run('cd metrics && tokengate print-metrics --out tokengate.prom --json', redis)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('"file": "tokengate.prom"') as string,
    });
    expect(await modeOf(out)).toBe('644');
    expect(await readdir(join(shell.folder, 'metrics'))).toEqual(['tokengate.prom']);
  });

  test('leaves a link to the file as it is', async () => {
    const link = join(shell.folder, 'link.prom');
    await writeFile(out, 'old');
    await symlink(out, link);
    expect(await print('--out', link)).toMatchObject({code: 0});
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    expect(await readlink(link)).toBe(out);
    expect(await readFile(out, 'utf8')).toContain('tokengate_up 1\n');
  });

  test('a reader sees the old file or the new one, whole', async () => {
    await print('--out', out);
    const done = new AbortController();
    const writers = Promise.all(Array.from({length: 8}, () => print('--out', out))).finally(() => {
      done.abort();
    });
    let reads = 0;
    while (!done.signal.aborted) {
      const text = await readFile(out, 'utf8');
      expect(text).toMatch(/^# HELP [^]*\ntokengate_up 1\n$/);
      reads++;
    }
    expect(reads).toBeGreaterThan(8);
    expect((await writers).map(({code}) => code)).toEqual(Array.from({length: 8}, () => 0));
    expect(await readdir(join(shell.folder, 'metrics'))).toEqual(['tokengate.prom']);
  });

  describe('the old file stays, and nothing else', () => {
    beforeEach(() => writeFile(out, 'old'));
    afterEach(async () => {
      expect(await readFile(out, 'utf8')).toBe('old');
      expect(await readdir(join(shell.folder, 'metrics'))).toEqual(['tokengate.prom']);
    });

    test('without Redis', async () => {
      const url = `redis://127.0.0.1:${await freePort()}`;
      const {code, stdout, stderr} = await print('--out', out, '--redis-url', url);
      expect({code, stdout}).toEqual({code: 1, stdout: ''});
      expect(stderr).toContain('connection refused');
    });

    test('when it cannot be written whole', async () => {
      await redis.client.set(`session:${'x'.repeat(5000)}:budget`, '1');
      const script = `ulimit -f 8; tokengate print-metrics --out '${out}'`;
      expect(await shell.run(script, redis)).toEqual({
        code: 1,
        stdout: '',
        stderr: `Error: Cannot write '${out}': it would be larger than is allowed.\n`,
      });
    });

    test.each([
      ['SIGHUP', 129],
      ['SIGINT', 130],
      ['SIGQUIT', 131],
      ['SIGTERM', 143],
    ] as const)('when %s comes while it is written', async (signal, code) => {
      // Long names: much to write.
      const fill = `for i = 1, 20000 do redis.call('SET', 'session:' .. i .. string.rep('x', 1000) .. ':budget', '1') end`;
      await redis.client.sendCommand(['EVAL', fill, '0']);
      const files = join(shell.folder, 'metrics');
      let pid = 0;
      const watcher = watch(files, () => {
        const isBegun = readdirSync(files).some((name) => name.endsWith('.tmp'));
        if (isBegun) process.kill(pid, signal);
      });
      const argv = ['print-metrics', '--max-series', '20000', '--out', out];
      const end = await runBinary(argv, {...redis, onStart: (child) => (pid = child.pid ?? 0)});
      watcher.close();
      expect(end).toEqual({code, stdout: '', stderr: ''});
    });

    test.each([
      ['metrics', 'it is not a file'],
      ['/dev/null', 'it is not a file'],
      ['none/x.prom', 'there is no such folder'],
      ['metrics/tokengate.prom/x', 'there is no such folder'],
    ])('when %s cannot be replaced', async (path, why) => {
      const {code, stdout, stderr} = await shell.run(`tokengate print-metrics --out ${path}`, redis);
      expect({code, stdout, stderr}).toEqual({code: 1, stdout: '', stderr: `Error: Cannot write '${path}': ${why}.\n`});
    });
  });
});
