import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, test, vi} from 'vitest';

import {BIN, NODE, type Output, runProcess} from '../../support/program/run.js';
import {startRedis, type TestRedis} from '../../support/redis/redis-server.js';

const SESSIONS = 50_000;
const SEED = `
for i = 1, ${SESSIONS} do redis.call('SET', string.format('session:s%06d:budget', i), '20') end
return redis.call('DBSIZE')`;

let redis: TestRedis;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tokengate-pipes-'));
  redis = await startRedis();
  expect(await redis.client.sendCommand(['EVAL', SEED, '0'])).toBe(SESSIONS);
});
afterAll(async () => {
  await redis.stop();
  await rm(folder, {recursive: true, force: true});
});

/** Runs a line of bash in which \`tokengate\` is the built binary. */
function bash(script: string): Promise<Output> {
  const line = `tokengate() { '${NODE}' '${BIN}' "$@"; }\n${script}`;
  return runProcess('bash', ['-c', line], {url: redis.url});
}

describe('a reader that stops early', () => {
  test.each([
    [
      'ndjson',
      '{"session_id":"s000001","budget":20,"spent":0,"remaining":20,"percentage_used":0,"is_frozen":false,"frozen_until":null,"freeze_reason":null}\n',
    ],
    ['csv', 'session_id,budget,spent,remaining,percentage_used\n'],
    ['json', '[\n'],
    ['table', expect.stringMatching(/^╔═+╦═+╦═+╦═+╦═+╗\n$/)],
  ])('is no error: list-sessions --format %s | head -1', async (format, line) => {
    expect(await bash(`tokengate list-sessions --format ${format} | head -1; exit "\${PIPESTATUS[0]}"`)).toEqual({
      code: 0,
      stdout: line as string,
      stderr: '',
    });
  });

  test('is no error for help either', async () => {
    expect(await bash('tokengate --help | true; exit "${PIPESTATUS[0]}"')).toEqual({code: 0, stdout: '', stderr: ''});
  });
});

test('a reader that begins late and reads line by line gets every row', async () => {
  const gate = join(folder, 'gate');
  await runProcess('mkfifo', [gate]);
  const run = bash(
    `tokengate list-sessions --format csv | {
      read -r _ < '${gate}'
      while read -r line; do rows=$((rows + 1)); last=$line; done
      echo "$rows rows, the last is $last"
    }
    exit "\${PIPESTATUS[0]}"`,
  );
  // It waits for its reader: its connection has rested for a second.
  await vi.waitFor(
    async () => {
      const clients = await redis.client.sendCommand<string>(['CLIENT', 'LIST']);
      expect(clients).toMatch(/ idle=[1-9]\d* .* cmd=(m?get|scan|exists) /);
    },
    {timeout: 50_000, interval: 100},
  );
  await writeFile(gate, 'go\n');
  expect(await run).toEqual({code: 0, stdout: `${SESSIONS + 1} rows, the last is s050000,20,0,20,0\n`, stderr: ''});
});

describe('an output that cannot be written', () => {
  test.each([
    ['list-sessions --format ndjson'],
    ['get-budget s000001'],
    ['get-budget s000001 --json'],
    ['explain-session s000001 --cost 999'],
    ['explain-session s000001 --cost 999 --json'],
    ['--help'],
    ['--version'],
  ])('%s > /dev/full: exit 1 and one message', async (words) => {
    const {code, stdout, stderr} = await bash(`tokengate ${words} > /dev/full`);
    expect({code, stdout}).toEqual({code: 1, stdout: ''});
    if (words.endsWith('--json')) {
      expect(JSON.parse(stderr)).toEqual({
        error: {
          code: 'OUTPUT_FAILED',
          message: 'Cannot write the output: no space left on the device.',
          hint: null,
        },
      });
    } else {
      expect(stderr).toBe('Error: Cannot write the output: no space left on the device.\n');
    }
  });

  test.each([
    ['set-budget full 5', "✓ Budget set for 'full': $5.00", {budget: 5}],
    ['add-budget full 1.50', "✓ Budget of 'full': $6.50; Previous budget: $5.00", {budget: 6.5}],
    ['freeze-session full --reason x', "✓ Session 'full' frozen until .* UTC; Reason: x", {freeze_reason: 'x'}],
    ['unfreeze-session full', "✓ Session 'full' unfrozen; It was frozen until .* \\(x\\)", {session_id: 'full'}],
    [
      'reset-session full --yes',
      "✓ Session 'full' reset; Removed: budget $7.00, spent $2.00",
      {removed_budget: 7, removed_spent: 2},
    ],
  ])('%s > /dev/full says on stderr what was done', async (words, said, json) => {
    const seed = async (): Promise<void> => {
      const isNew = words.startsWith('set-budget');
      await redis.client.del(['session:full:budget', 'session:full:spent', 'anomaly:full:frozen_until']);
      if (!isNew) await redis.client.set('session:full:budget', words.startsWith('add') ? '5' : '7');
      if (words.startsWith('reset')) await redis.client.set('session:full:spent', '2');
      if (words.startsWith('unfreeze')) await bash('tokengate freeze-session full --reason x');
    };
    await seed();
    const {code, stdout, stderr} = await bash(`tokengate ${words} > /dev/full`);
    expect({code, stdout}).toEqual({code: 1, stdout: ''});
    const hint = new RegExp(`^What it would have said: ${said.replaceAll('$', '\\$')}$`, 'm');
    expect(stderr).toContain('Error: Cannot write the output: no space left on the device.\n');
    expect(stderr).toMatch(hint);
    await seed();
    const {error} = JSON.parse(
      (await bash(`tokengate ${words} --json > /dev/full`)).stderr.replace(/^Warning.*\n/, ''),
    ) as {
      error: {code: string; hint: string};
    };
    expect(error.code).toBe('OUTPUT_FAILED');
    expect(JSON.parse(error.hint.replace('What it would have said: ', ''))).toMatchObject(json);
  });

  test('an error that leaves stdout empty stands alone, whatever stdout is', async () => {
    const {code, stderr} = await bash('tokengate get-budget nobody --json > /dev/full');
    expect(code).toBe(1);
    expect(JSON.parse(stderr)).toMatchObject({error: {code: 'SESSION_NOT_FOUND'}});
  });

  test('a change of the context file on /dev/full is told on stderr too', async () => {
    const file = join(folder, 'config.yaml');
    const full = (words: string): Promise<Output> => bash(`TOKENGATE_CONFIG=${file} tokengate ${words} > /dev/full`);
    const hint = 'What it would have said: ✓ Context';
    expect((await full('add-context full --redis-url redis://h')).stderr).toContain(`${hint} 'full' added to ${file}`);
    expect((await full('remove-context full')).stderr).toContain(`${hint} 'full' removed from ${file}`);
  });

  test('stderr on /dev/full changes neither the answer nor the exit code', async () => {
    expect(await bash('tokengate get-budget nobody 2> /dev/full')).toEqual({code: 1, stdout: '', stderr: ''});
    expect(await bash('tokengate list-sessions --format ndjson 2> /dev/full | tail -1')).toMatchObject({
      code: 0,
      stdout:
        '{"session_id":"s050000","budget":20,"spent":0,"remaining":20,"percentage_used":0,"is_frozen":false,"frozen_until":null,"freeze_reason":null}\n',
    });
  });
});

describe('a closed stream', () => {
  const ANSWER =
    '{\n  "session_id": "s000001",\n  "budget": 20,\n  "spent": 0,\n' +
    '  "remaining": 20,\n  "percentage_used": 0\n}\n';
  test.each([
    ['stdin', 'tokengate get-budget s000001 --json <&-', ANSWER],
    ['stdout', 'tokengate get-budget s000001 --json >&-', ''],
    ['stderr', 'tokengate get-budget s000001 --json 2>&-', ANSWER],
  ])('%s is no error', async (_, script, stdout) => {
    expect(await bash(script)).toEqual({code: 0, stdout, stderr: ''});
  });

  test('stdin closed is no terminal: reset-session asks for --yes', async () => {
    expect(await bash('tokengate reset-session s000001 <&-')).toEqual({
      code: 1,
      stdout: '',
      stderr:
        'Error: This needs a confirmation, and there is no terminal to ask on.\n' +
        'Add --yes to go ahead without a question.\n',
    });
    expect(await redis.client.exists('session:s000001:budget')).toBe(1);
  });
});

test('the documented loop over all sessions does not lose its input to tokengate', async () => {
  expect(
    await bash(`printf '%s\\n' s000001 s000002 s000003 | while read -r id; do
      tokengate get-budget "$id" --json | grep session_id
    done`),
  ).toEqual({
    code: 0,
    stdout: '  "session_id": "s000001",\n  "session_id": "s000002",\n  "session_id": "s000003",\n',
    stderr: '',
  });
});
