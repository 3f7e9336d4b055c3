import {describe, expect, test} from 'vitest';

import ListRequests from '../../src/commands/list-requests.js';
import {type Output, runBinary, runCommand} from '../support/program/run.js';
import {useRedis} from '../support/redis/with-redis.js';

const redis = useRedis();

const list = (...argv: string[]): Promise<Output> => runCommand(ListRequests, argv, redis);
const record = (...entries: string[]): Promise<unknown> => redis.client.rPush('anomaly:x:history', entries);
const isSafe = (text: string): boolean => !/[^\n\P{C}]/u.test(text);
const AS_WRITTEN = [
  '{"timestamp": "2026-11-22T16:28:12.319108", "model": "gpt-4o", "cost": 0.0}',
  '{"timestamp": "2026-11-22T16:28:11", "model": "gpt-5-nano", "cost": 0.0}',
];

describe('list-requests', () => {
  test('shows what the gateway has recorded, newest first', async () => {
    await record(...AS_WRITTEN);
    const {code, stdout, stderr} = await list('x');
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
    expect(stdout).toMatchInlineSnapshot(`
      "╔═════════════════════════╦════════════╦══════════════╗
      ║ Time                    ║ Model      ║ Cost         ║
      ╠═════════════════════════╬════════════╬══════════════╣
      ║ 2026-11-22 16:28:12 UTC ║ gpt-4o     ║ not recorded ║
      ║ 2026-11-22 16:28:11 UTC ║ gpt-5-nano ║ not recorded ║
      ╚═════════════════════════╩════════════╩══════════════╝
      "
    `);
  });

  test('shows a cost that is one, exactly', async () => {
    await record(
      '{"timestamp": "2026-11-22T16:28:12", "model": "a", "cost": 7.5e-07}',
      '{"timestamp": "2026-11-22T16:28:12", "model": "b", "cost": 0.12345678901234568}',
    );
    expect((await list('x')).stdout).toMatch(/\$0\.00000075 .*\n.*\$0\.12345678901234568 /);
    expect((await list('x', '--format', 'ndjson')).stdout).toContain('"cost":0.00000075,');
  });

  test('entries that the gateway cannot have written are shown as such', async () => {
    const bad = [
      ...['', 'x', '[]', 'null', '7', '{}', '{"timestamp":5}', '{"timestamp":"soon","model":"m","cost":0}'],
      ...['{"timestamp":"2026-11-22T16:28:12Z","cost":0}', '{"timestamp":"2026-11-22T16:28:12","cost":"1"}'],
      ...['{"timestamp":"2026-11-22T16:28:12","cost":NaN}', '{"timestamp":', 'y'.repeat(5000)],
    ];
    await record(...AS_WRITTEN, ...bad);
    const {code, stdout, stderr} = await list('x');
    expect(code).toBe(0);
    expect(stdout.match(/║ malformed /g)).toHaveLength(bad.length);
    expect(stdout).toContain(`'${'y'.repeat(60)}…'`);
    expect(stderr).toBe(`Warning: ${bad.length} of ${bad.length + 2} entries are malformed.\n`);
    const {stdout: json} = await list('x', '--json');
    const requests = JSON.parse(json) as {malformed: string | null}[];
    expect(requests.map(({malformed}) => malformed)).toEqual([null, null, ...bad]);
  });

  test('models are untrusted text', async () => {
    const model = 'm\u001b[31m\n\u202e';
    await record(
      JSON.stringify({timestamp: '2026-11-22T16:28:12', model, cost: 0}),
      JSON.stringify({timestamp: '2026-11-22T16:28:12', model: ['\u001b'], cost: 0}),
      JSON.stringify({timestamp: '2026-11-22T16:28:12', model: null, cost: 0}),
    );
    const {stdout} = await list('x');
    expect(stdout).toContain('║ m\\x1b[31m\\n\\u202e ║');
    expect(isSafe(stdout)).toBe(true);
    const json = await list('x', '--json');
    expect(isSafe(json.stdout)).toBe(true);
    expect((JSON.parse(json.stdout) as {model: string}[]).map((request) => request.model)).toEqual([
      model,
      '["\\u001b"]',
      null,
    ]);
    expect((await list('x', '--format', 'csv')).stdout).toContain(`,"${model}",,\n`);
  });

  test('prints the same facts in every format', async () => {
    await record(...AS_WRITTEN);
    const facts = [
      {timestamp: '2026-11-22T16:28:12.319Z', model: 'gpt-4o', cost: null, malformed: null},
      {timestamp: '2026-11-22T16:28:11.000Z', model: 'gpt-5-nano', cost: null, malformed: null},
    ];
    expect(JSON.parse((await list('x', '--json')).stdout)).toEqual(facts);
    expect((await list('x', '--format', 'json')).stdout).toBe((await list('x', '--json')).stdout);
    const lines = (await list('x', '--format', 'ndjson')).stdout.trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(facts);
    expect((await list('x', '--format', 'csv')).stdout).toBe(
      'timestamp,model,cost,malformed\n2026-11-22T16:28:12.319Z,gpt-4o,,\n2026-11-22T16:28:11.000Z,gpt-5-nano,,\n',
    );
    expect(await list('x', '--json', '--format', 'csv')).toMatchObject({code: 1, stdout: ''});
  });

  test('reads no more than is asked for', async () => {
    await record(...Array.from({length: 250}, () => AS_WRITTEN[0]!));
    const count = async (...argv: string[]): Promise<number> =>
      (JSON.parse((await list('x', '--json', ...argv)).stdout) as unknown[]).length;
    expect(await count()).toBe(100);
    expect(await count('--limit', '200')).toBe(200);
    expect(await count('--limit', '1')).toBe(1);
    expect(await count('--limit', '0')).toBe(0);
    expect(await count('--limit', '99999999999999999999')).toBe(250);
    expect(await list('x', '--limit', '0')).toMatchObject({code: 0, stdout: '', stderr: ''});
  });

  test('a session without requests has none, and one that is not known is warned of', async () => {
    await redis.client.set('session:x:budget', '1');
    expect(await list('x')).toMatchObject({code: 0, stdout: 'No requests recorded in the last hour.\n', stderr: ''});
    expect(await list('typo', '--json')).toMatchObject({
      code: 0,
      stdout: '[]\n',
      stderr: "Warning: Nothing is known of session 'typo'. Is the ID right?\n",
    });
  });

  test('a history of a wrong type is an error', async () => {
    await redis.client.set('anomaly:x:history', 'x');
    const {code, stdout, stderr} = await list('x');
    expect({code, stdout}).toEqual({code: 1, stdout: ''});
    expect(stderr).toContain('HTTP 500');
  });

  test('runs as it is installed, into a pipe', async () => {
    await record(...AS_WRITTEN);
    const {code, stdout} = await runBinary(['list-requests', 'x', '--limit=1', '--format', 'csv'], redis);
    expect({code, stdout}).toEqual({
      code: 0,
      stdout: 'timestamp,model,cost,malformed\n2026-11-22T16:28:12.319Z,gpt-4o,,\n',
    });
  });
});
