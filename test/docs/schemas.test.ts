import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {beforeEach, describe, expect, onTestFinished, test} from 'vitest';

import {run} from '../support/program/run.js';
import {useRedis} from '../support/redis/with-redis.js';
import {ROOT} from '../support/root.js';
import {expectValid, type Schema, SCHEMAS} from '../support/schemas.js';

const BUDGET_FILES = {
  FILE: `version: 1
scope: ['*']
sessions:
  fine: {budget: 5, note: as agreed}
  frozen: {budget: 4}
  nan: {budget: 1, period: month, on: 15, timezone: Europe/Berlin, rollover: unused, max-rollover: 1}
  new: {budget: 5}
  broken: {budget: 5}
  weekly: {budget: 5, period: none}
id_hex:
  ff: {budget: 2}
  fe: {budget: 2}
`,
  OTHER: `version: 1
scope: ['*']
sessions:
  fine: {budget: 6}
  nan: {budget: 1, period: none}
  weekly: {budget: 7, period: year, at: 09:00}
`,
  SAME: 'version: 1\nscope: [frozen]\nsessions: {frozen: {budget: 5}}\n',
  WRONG: 'version: 1\nsessions: {frozen: {budget: x}}\n',
};

/**
 * What is run on the store below, by command, in place of the examples of its help; `LAST` is the latest change, `FILE` a
 * file of budgets.
 */
const LINES: Record<string, string[]> = {
  'add-budget': ['fine 5', 'frozen 0.25', 'nan 5', 'nobody 5', 'fine x'],
  'add-context': [
    'dev --redis-url redis://h/2 --default --protected --read-only --actor ops --color red',
    'other --redis-url-file f --timeout 3',
    'audit --redis-url redis://h',
    'dev',
  ],
  'anomaly-stats': ['fine', 'frozen', 'forever', 'broken', 'nobody'],
  'apply-budgets': [
    '-f FILE --dry-run',
    '-f FILE --unlisted freeze --dry-run --format ndjson',
    '-f FILE --yes',
    '-f OTHER --yes --format ndjson',
    '-f FILE --unlisted freeze --yes --format ndjson',
    '-f OTHER --unlisted freeze --yes',
    '-f FILE --yes',
    '-f OTHER --unlisted zero --yes',
    '-f FILE --max 1',
    '-f WRONG',
    '',
  ],
  'check-sessions': [
    '',
    '--warn 10 --crit 90 --min-left 1 --frozen',
    '--warn 1 --max-rate 1/m --sample 1s',
    '--warn 10 --new-only --exec true',
    '--warn 10 --new-only --exec false --state other',
    '--warn x',
  ],
  'check-store': [
    '',
    '--match fine',
    '--fix --dry-run',
    '--format ndjson',
    '--fix --dry-run --format ndjson',
    '--match offset --fix --yes --format ndjson',
    '--fix --yes',
    '--dry-run',
  ],
  'diff-budgets': ['-f FILE', '-f FILE --strict --format ndjson', '-f SAME', '-f WRONG', ''],
  'explain-session': [
    'fine',
    'fine --cost 100 --identical',
    'frozen',
    'nan',
    'infinite',
    'list',
    'broken --identical',
    'offset',
    'nobody',
    'history',
  ],
  'export-budgets': ['', "--match '[hf]*'", '--match nobody'],
  'freeze-session': [
    'fine',
    'frozen --forever --reason x',
    'broken --force',
    'forever --for 1h',
    'nobody',
    'list',
    'fine nobody frozen forever --yes',
    '--all --dry-run',
    '--all --yes --format ndjson',
    '--all --dry-run --format ndjson',
    "nobody fine --where 'budget > 0' --yes",
    "nobody fine --where 'budget > 0' --yes --format ndjson",
    'fine nobody list',
  ],
  'get-budget': ['fine', 'history', 'frozen', 'nan', 'infinite', 'orphan', 'list', 'nobody', "''"],
  'grant-budget': [
    'fine 5 --for 1h',
    'fine 5 --this-period --note why',
    'nobody 5 --for 1h',
    'nan 5 --for 1h',
    'fine 5',
  ],
  health: [''],
  'list-changes': [
    '',
    '--session fine',
    '--change LAST',
    '--limit 1',
    '--format ndjson',
    '--after 0 --limit 0 --format ndjson',
    '--since x',
  ],
  'list-contexts': ['', '--format ndjson', '--context nobody'],
  'list-grants': ['', '--format ndjson', '--match nobody'],
  'list-periods': ['', '--overdue', '--format ndjson', '--match nobody'],
  'list-requests': ['history', 'fine', 'fine --format ndjson', 'nobody', 'list'],
  'list-sessions': [
    '',
    '--totals',
    '--totals --columns id,status',
    '--totals --sort rate --sample 1s',
    '--frozen',
    '--columns id,used,status',
    '--sort rate --sample 1s',
    '--sort rate --sample 1s --format ndjson',
    '--columns id,rate,empties',
    '--group-depth 1',
    '--group-depth 1 --format ndjson',
    '--columns id,rate,empties --totals',
    '--columns id,rate,empties --format ndjson',
    '--match nobody',
    '--match nobody --totals',
    '--format ndjson --columns id,status',
    '--columns id,period,resets,grants',
    '--totals --columns id,period,resets,grants',
    '--format ndjson --columns id,period,resets,grants',
    "--where 'x ='",
  ],
  'print-metrics': ['', '--match nobody', '--max-series 1', '--where x'],
  'record-spending': ['', '--quiet', '--timezone Europe/Berlin', '--keep x'],
  'renew-budgets': ['--dry-run', '--dry-run --format ndjson', '--match renewing --format ndjson', '', '', '--max x'],
  'protect-store': [
    'prod',
    'prod --confirm prod',
    'other',
    'other --confirm prod',
    '--remove --confirm other',
    '--remove',
    'a --remove',
    'x --confirm y',
  ],
  'report-spending': [
    '--period today',
    '--period 7d --top 1 --compare --group-depth 1',
    '--by week',
    '--format ndjson',
    '--period 2020-01',
  ],
  'remove-context': ['audit', 'audit'],
  'revoke-grant': ['forever', 'forever', 'nobody', 'forever nothing'],
  'reset-session': [
    'fine --yes',
    'forever --yes',
    'nan --yes',
    'nobody --yes',
    'frozen --keep-budget --yes',
    'fine nobody nan history --yes',
    'list nan --yes',
    '--all --keep-budget --yes',
    '--all --dry-run',
    '--all --dry-run --format ndjson',
    'fine nobody list infinite --yes --format ndjson',
    '--all --yes --format ndjson',
    '--all --max 1 --yes',
    '',
  ],
  'set-budget': ['fine 5', 'new 5', 'nan 1', 'infinite 0.00000000000000000001', 'fine -1', 'list 5'],
  'set-period': [
    'fine --every month --amount 5 --timezone Europe/Berlin',
    'fine --every none',
    'frozen --every week --amount 5 --rollover unused --max-rollover 1',
    'nan --every day --amount 5',
    'nobody --every day --amount 5',
    '--all --every day --amount 5 --dry-run',
    '--all --every day --amount 6 --dry-run --format ndjson',
    '--all --every day --amount 5 --yes',
    'list broken --every day --amount 5 --yes',
    'list broken --every day --amount 5 --yes --format ndjson',
    'fine infinite --every year --amount 5 --yes --format ndjson',
    "nobody fine --where 'budget > 0' --every day --amount 7 --yes",
    "nobody fine --where 'budget > 0' --every day --amount 8 --yes --format ndjson",
    'fine --every x',
  ],
  'undo-change': [
    'LAST --dry-run',
    'LAST --dry-run --format ndjson',
    'LAST --yes',
    '--last --yes',
    '--last --yes --format ndjson',
    'LAST --yes --force --format ndjson',
    'nothing --yes',
    '',
  ],
  'unfreeze-session': [
    'fine',
    'frozen',
    'broken',
    'forever --with-reason other',
    'nobody',
    'fine frozen nobody forever --with-reason other --yes',
    '--all --dry-run',
    '--all --dry-run --format ndjson',
    '--all --yes',
    'frozen fine --yes --format ndjson',
    "nobody fine --where 'budget > 0' --yes",
    "nobody fine --where 'budget > 0' --yes --format ndjson",
  ],
  'watch-sessions': ['--once --group-by 1', '--once', '--once --sample 1s', '--once --match nobody', '--interval x'],
};

/** What takes a request that is under way to see: test/commands/across/second-look.test.ts has it. */
const OF_SECOND_LOOK = /second_looks?(\[\]\.|\.|$)/;

/** What takes a fault to see: `test/faults` and `test/deployments` have it. */
const NOT_SEEN = new Set([
  'check-store: repairs[].error',
  'check-store: repairs[].error.code',
  'check-store: repairs[].error.message',
  'check-store line: error',
  'check-store line: error.code',
  'check-store line: error.message',
  'health: cluster.primaries',
  'health: cluster.replicas',
]);

const redis = useRedis();
let last: string;
let config: string;
/** Files of budgets, by the words that stand for them. */
let files: Record<string, string>;
beforeEach(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tokengate-schemas-'));
  config = join(folder, 'config.yaml');
  const contexts = {
    audit: {'redis-url-command': ['op'], 'read-only': true},
    prod: {'redis-url-file': 'f', protected: true, color: 'red', actor: 'ops'},
    staging: {'redis-url': 'redis://h'},
  };
  await writeFile(config, JSON.stringify({default: 'audit', contexts}), {mode: 0o600});
  onTestFinished(() => rm(folder, {recursive: true}));
  files = Object.fromEntries(Object.keys(BUDGET_FILES).map((name) => [name, join(folder, `${name}.yaml`)]));
  for (const [name, text] of Object.entries(BUDGET_FILES)) await writeFile(files[name]!, text);
  const {client} = redis;
  const texts: Record<string, string> = {
    'session:fine:budget': '10.0',
    'session:fine:spent': '9.02643664999999999982',
    'anomaly:fine:requests:1min': '7',
    'anomaly:fine:identical_count': '2',
    'anomaly:fine:last_hash': '0cc175b9c0f1b6a831c399e269772661',
    'session:frozen:budget': '5',
    'anomaly:frozen:freeze_reason': 'A \u001b[31mreason',
    'session:forever:budget': '5',
    'session:nan:budget': 'nan',
    'session:nan:spent': '1',
    'session:infinite:budget': 'inf',
    'session:infinite:spent': '-1',
    'session:orphan:spent': '1.5',
    'session:offset:budget': '1',
    'anomaly:offset:frozen_until': '2099-01-01T00:00:00+00:00',
    'session:broken:budget': '1',
    'session:broken:spent': 'x',
    'anomaly:broken:frozen_until': 'tomorrow',
    'anomaly:broken:requests:1min': 'many',
    'anomaly:broken:identical_count': '1.5',
    'session:two\nlines:budget': '1',
    'session:history:budget': '1',
  };
  for (const [key, value] of Object.entries(texts)) await client.set(key, value);
  const end = new Date(Date.now() + 600_000).toISOString().slice(0, -1);
  await client.setEx('anomaly:frozen:frozen_until', 600, end);
  await client.setEx('anomaly:fine:last_hash', 600, '0cc175b9c0f1b6a831c399e269772661');
  await client.lPush('session:list:budget', 'x');
  await client.lPush('anomaly:list:frozen_until', 'x');
  await client.sAdd('anomaly:list:history', 'x');
  await client.rPush('anomaly:fine:history', [
    '{"timestamp": "2026-11-22T16:28:12.319108", "model": "gpt-4o", "cost": 0.25}',
    '{"timestamp": "2026-11-22T16:28:11", "model": "gpt-4o"}',
  ]);
  await client.rPush('anomaly:history:history', ['{', '{"timestamp": 1}']);
  await client.sendCommand(['SET', Buffer.from('session:\xff:budget', 'latin1'), '1']);
  await run('freeze-session forever --forever --json', redis);
  await run('grant-budget forever 5 --for 1h --json', redis);
  for (const id of ['history', 'orphan', 'renewing']) {
    await run(`set-period ${id} --every day --amount 5 --json`, redis);
    await run(`grant-budget ${id} 5 --this-period --json`, redis);
    const period = JSON.parse((await client.get(`tokengate:period:${id}`))!) as object;
    await client.set(`tokengate:period:${id}`, JSON.stringify({...period, renewed: '2026-01-01T00:00:00.000Z'}));
  }
  await client.set('tokengate:period:broken', 'x');
  await client.set('tokengate:grants:broken', 'x');
  const weekly = {every: 'week', timezone: 'Europe/Berlin', at: '09:00', on: 2, amount: '6', rollover: 'unused'};
  await client.set('session:weekly:budget', '5');
  for (const id of ['weekly', '\xff']) {
    const period = JSON.stringify({...weekly, max_rollover: '1', renewed: new Date().toISOString(), carried: '0'});
    await client.sendCommand(['SET', Buffer.from(`tokengate:period:${id}`, 'latin1'), period]);
  }
  await client.set('session:fell:spent', '3');
  await run('record-spending --json', redis);
  await client.mSet(['session:one:spent', '3', 'session:two:spent', '2']);
  await run('record-spending --json', redis);
  await client.del('session:fell:spent');
  await client.hSet('tokengate:{spending}:ledger', 'began', Date.now() - 3_600_000);
  await run('reset-session fine --keep-budget --yes --json --no-second-look', redis);
  await client.set('session:fine:spent', '9.02643664999999999982');
  await run('reset-session orphan fine --yes --json --no-second-look', redis);
  const {stdout} = await run('list-changes --limit 1 --json', redis);
  last = (JSON.parse(stdout) as [{change_id: string}])[0].change_id;
  await client.set('session:fine:budget', '10.0');
  await client.set('session:fine:spent', '9.02643664999999999982');
});

describe('docs/reference/schemas', () => {
  test('has every command that is tested here', () => {
    expect([...SCHEMAS.keys()]).toEqual(expect.arrayContaining(Object.keys(LINES)));
  });

  test.each([...SCHEMAS.keys()].filter((name) => name !== 'error'))(
    '%s prints what its schema says',
    async (command) => {
      const schema = SCHEMAS.get(command)!;
      const seen = new Set<string>();
      for (const line of LINES[command] ?? (await examplesOf(command))) {
        const isLines = line.includes('ndjson');
        const named = line.replace('LAST', last).replace(/\b[A-Z]+\b/, (word) => files[word] ?? word);
        const words = `${command} ${named}${isLines ? '' : ' --json'}`;
        const {stdout, stderr, code} = await run(words, {url: redis.url, env: {TOKENGATE_CONFIG: config}});
        const part = isLines ? schema.$defs!.line : schema;
        const documents = isLines ? stdout.split('\n').slice(0, -1) : stdout === '' ? [] : [stdout];
        for (const document of documents) {
          const value: unknown = JSON.parse(document);
          expectValid(part, value, `${words}\n${document}`);
          walk(part, value, isLines ? `${command} line: ` : `${command}: `, seen);
        }
        const [, error] = /^(\{\n {2}"error": [^]*?^\})$/m.exec(stderr) ?? [];
        if (error !== undefined) expectValid(SCHEMAS.get('error')!, JSON.parse(error), words);
        if (!isLines && code === 1) expect(error, words).toBeDefined();
        if (code !== 1 && !isLines) expect(documents, `${words}\n${stderr}`).toHaveLength(1);
      }
      const all = [...fieldsOf(schema, `${command}: `), ...fieldsOf(schema.$defs?.line ?? {}, `${command} line: `)];
      // The lines of a live view are those of its own test, which ends it.
      const unseen = new Set(all.filter((field) => !seen.has(field) && !field.startsWith('watch-sessions line')));
      expect([...unseen].filter((field) => !NOT_SEEN.has(field) && !OF_SECOND_LOOK.test(field))).toEqual([]);
    },
  );
});

/** The words after the command, of each example in its help. */
async function examplesOf(command: string): Promise<string[]> {
  const manifest = JSON.parse(await readFile(`${ROOT}oclif.manifest.json`, 'utf8')) as {
    commands: Record<string, {examples: {command: string}[]}>;
  };
  return manifest.commands[command]!.examples.map((example) => example.command.replace(/^<%.*?%> <%.*?%> ?/, ''));
}

/** Collects the fields that a value has, and holds that they are in the schema's order. */
function walk(schema: Schema, value: unknown, path: string, seen: Set<string>): void {
  if (value === null || typeof value !== 'object') return;
  for (const choice of schema.anyOf ?? []) walk(choice, value, path, seen);
  if (Array.isArray(value)) {
    if (schema.items !== undefined) for (const item of value) walk(schema.items, item, `${path}[]`, seen);
    return;
  }
  const {properties, additionalProperties} = schema;
  if (additionalProperties) {
    for (const inner of Object.values(value)) walk(additionalProperties, inner, `${path}.*`, seen);
  }
  const names = Object.keys(value);
  if (properties === undefined || names.some((name) => !Object.hasOwn(properties, name))) return;
  expect(names).toEqual(Object.keys(properties).filter((name) => names.includes(name)));
  for (const [name, inner] of Object.entries(value)) {
    const field = `${path}${/[ :]$/.test(path) ? '' : '.'}${name}`;
    seen.add(field);
    walk(properties[name]!, inner, field, seen);
  }
}

function fieldsOf({anyOf = [], items, properties = {}, additionalProperties}: Schema, path: string): string[] {
  return [
    ...anyOf.flatMap((choice) => fieldsOf(choice, path)),
    ...(items === undefined ? [] : fieldsOf(items, `${path}[]`)),
    ...(additionalProperties ? fieldsOf(additionalProperties, `${path}.*`) : []),
    ...Object.entries(properties).flatMap(([name, inner]) => {
      const field = `${path}${/[ :]$/.test(path) ? '' : '.'}${name}`;
      return [field, ...fieldsOf(inner, field)];
    }),
  ];
}
