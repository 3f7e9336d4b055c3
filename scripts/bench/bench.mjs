// Measures the CLI, packed and installed as users have it, as whole processes beside programs that do the least that the same work takes, prints the
// ratios, and writes them into docs/development/benchmarks.md. It never fails for a time; what was measured must be right, though.
//
//   npm run bench -- --sessions 10000,100000 --runs 5 --starts 15 --only list-ndjson,reset
import {mkdtempSync, writeFileSync} from 'node:fs';
import {availableParallelism, constants} from 'node:os';
import {join} from 'node:path';
import {parseArgs} from 'node:util';

import {LEDGER_MONTH, makeData, makeLedger, RESP_FILES} from './data.mjs';
import {makeMeter, measurePairs} from './measure.mjs';
import {formatReport, formatTables} from './report.mjs';
import {startServer} from './server.mjs';
import {installPacked, installPackages, provide, ROOT} from '../setup.mjs';

const OUTPUT = 'docs/development/benchmarks.md';
const FORMATS = ['table', 'json', 'ndjson', 'csv', 'ids'];
const CHANGES = ['reset-stdin', 'reset-all', 'reset-scan', 'reset-no-journal', 'reset-journal', 'freeze'];
const RENEWALS = ['renew-nothing', 'renew-all'];
/** Maximum number of sessions in a report. */
const MOST_REPORTED = 10_000;
const SCAN = ['--scan', '--pattern', 'session:*:budget'];

const options = readOptions();
installPackages();
const [program] = provide('redis');
const server = await startServer(program);
let isEnding = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    isEnding = true;
    void server.stop().finally(() => process.exit(128 + constants.signals[signal]));
  });
}
// The reader has gone.
process.stdout.on('error', () => process.exit(1));

try {
  const meter = makeMeter(server, installPacked(server.folder));
  const rows = [...(await measureStarts(meter)), ...(await measureSizes(meter))];
  if (rows.length === 0) throw new Error(`--only ${options.only.join(',')} chooses nothing.`);
  process.stdout.write(`${formatTables(rows)}\n`);
  if (options.only.length === 0) {
    writeFileSync(join(ROOT, OUTPUT), formatReport(rows, await describeRun()));
    process.stderr.write(`Written: ${OUTPUT}\n`);
  }
} catch (error) {
  // Whatever runs while the server is being stopped fails because of that.
  if (!isEnding) process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
} finally {
  await server.stop();
}

async function measureStarts(meter) {
  await server.load(makeData(1, server.folder));
  const session = 'start-up';
  await server.send('SET', `session:${session}:budget`, '10.0');
  const starts = {
    health: ['health'],
    'get-budget': ['get-budget', session],
    'set-budget': ['set-budget', session, '25.50'],
    '--help': ['--help'],
    '--version': ['--version'],
  };
  const rows = [];
  for (const [name, args] of Object.entries(starts)) {
    if (!isWanted(`start-${name.replace(/^--/, '')}`)) continue;
    step(name);
    rows.push({
      group: 'start',
      what: `\`tokengate ${name}\``,
      against: '`node -e 0`',
      ...(await measurePairs({
        runs: options.starts,
        ours: () => meter.tokengate(args),
        theirs: () => meter.node(['-e', '0']),
      })),
    });
  }
  if (isWanted('start-first')) {
    step('first run');
    rows.push({
      group: 'start',
      what: '`tokengate health`, the first run of all',
      against: '`node -e 0`',
      ...(await measurePairs({
        runs: options.starts,
        ours: () => meter.tokengate(['health'], {HOME: mkdtempSync(join(server.folder, 'home-'))}),
        theirs: () => meter.node(['-e', '0']),
      })),
    });
  }
  const tabs = {
    'tab-command': {line: 'tokengate get-b', what: 'a TAB after `tokengate get-b`'},
    'tab-session': {line: 'tokengate get-budget sta', what: 'a TAB after `tokengate get-budget sta`, which asks Redis'},
  };
  for (const [name, {line, what}] of Object.entries(tabs)) {
    if (!isWanted(name)) continue;
    step(name);
    rows.push({
      group: 'start',
      what,
      against: '`node -e 0`',
      ...(await measurePairs({
        runs: options.starts,
        ours: () => meter.tokengate(['__complete', 'bash'], {TOKENGATE_COMPLETE_LINE: line}),
        theirs: () => meter.node(['-e', '0']),
      })),
    });
  }
  return rows;
}

async function measureSizes(meter) {
  const rows = [];
  for (const count of options.sessions) {
    const wanted = [
      ...FORMATS.map((format) => `list-${format}`),
      'list-sort',
      'list-reads',
      'record',
      'report',
      ...CHANGES,
      ...RENEWALS,
    ].filter(isWanted);
    if (wanted.length === 0) continue;
    step(`data of ${formatCount(count)} sessions`);
    const data = makeData(count, server.folder);
    rows.push(
      ...(await measureLists(meter, data)),
      ...(await measureSpending(meter, data)),
      ...(await measureChanges(meter, data)),
      ...(await measureRenewals(meter, data)),
    );
  }
  return rows;
}

async function measureLists(meter, data) {
  const {count, files} = data;
  await server.load(data);
  const list = (format) => meter.tokengate(['list-sessions', '--format', format]);
  const rows = [];
  const measure = async (name, row, pair) => {
    if (!isWanted(name)) return;
    step(`${name}, ${formatCount(count)} sessions`);
    rows.push({group: 'list', count, ...row, ...(await measurePairs({runs: options.runs, ...pair}))});
  };
  for (const format of FORMATS) {
    await measure(
      `list-${format}`,
      {what: `\`list-sessions --format ${format}\``, against: '`redis-cli --scan`'},
      {ours: () => list(format), theirs: () => meter.redisCli(SCAN)},
    );
  }
  await measure(
    'list-sort',
    {what: '`list-sessions --sort used --format ndjson`', against: '`redis-cli --scan`'},
    {
      ours: () => meter.tokengate(['list-sessions', '--sort', 'used', '--format', 'ndjson']),
      theirs: () => meter.redisCli(SCAN),
    },
  );
  await measure(
    'list-reads',
    {what: '`list-sessions --format ndjson`', against: '`redis-cli --scan`, then `--pipe` with two `GET`s a session'},
    {
      ours: () => list('ndjson'),
      theirs: async () => addUp(await meter.redisCli(SCAN), await meter.redisPipe(files.read)),
    },
  );
  return rows;
}

async function measureSpending(meter, data) {
  const {count, files} = data;
  const rows = [];
  const measure = async (name, row, pair) => {
    step(`${name}, ${formatCount(count)} sessions`);
    rows.push({group: 'spending', count, ...row, ...(await measurePairs({runs: options.runs, ...pair}))});
  };
  if (isWanted('record')) {
    await server.load(data);
    await meter.tokengate(['record-spending']);
    await measure(
      'record',
      {what: '`record-spending --quiet`', against: '`tokengate list-sessions --format ndjson`'},
      {
        async ours() {
          await meter.redisPipe(files.spend);
          return meter.tokengate(['record-spending', '--quiet']);
        },
        theirs: () => meter.tokengate(['list-sessions', '--format', 'ndjson']),
      },
    );
  }
  if (isWanted('report') && count <= MOST_REPORTED) {
    await server.load(data);
    const {ledger, days} = makeLedger(count, server.folder);
    await meter.redisPipe(ledger);
    await measure(
      'report',
      {what: '`report-spending`, a month', against: '`redis-cli --pipe` with `HGETALL` of each day'},
      {
        ours: () => meter.tokengate(['report-spending', '--period', LEDGER_MONTH]),
        theirs: () => meter.redisPipe(days),
      },
    );
  }
  return rows;
}

async function measureChanges(meter, data) {
  const {count, files} = data;
  const reset = ['reset-session', '--all', '--yes'];
  const freeze = ['freeze-session', '--all', '--for', '2h', '--reason', 'Benchmark', '--yes'];
  const pipe = (file) => ({
    against: `\`redis-cli --pipe\` with ${RESP_FILES[file].says}`,
    theirs: () => meter.redisPipe(files[file]),
  });
  const changes = {
    'reset-stdin': {command: ['reset-session', '--stdin', '--yes'], input: files.ids, ...pipe('reset')},
    'reset-all': {command: reset, ...pipe('reset')},
    'reset-scan': {
      command: reset,
      against: `\`redis-cli --scan\`, then \`--pipe\` with ${RESP_FILES.reset.says}`,
      theirs: async () => addUp(await meter.redisCli(SCAN), await meter.redisPipe(files.reset)),
    },
    'reset-no-journal': {command: [...reset, '--no-journal'], ...pipe('reset')},
    'reset-journal': {
      command: reset,
      against: 'the same with `--no-journal`',
      theirs: () => meter.tokengate([...reset, '--no-journal']),
    },
    freeze: {command: freeze, leaves: data.keys + 2 * count, ...pipe('freeze')},
  };
  const rows = [];
  for (const [name, {command, input, leaves = 0, against, theirs}] of Object.entries(changes)) {
    if (!isWanted(name)) continue;
    step(`${name}, ${formatCount(count)} sessions`);
    const changing = async (change) => {
      await server.load(data);
      const usage = await change();
      const left = await server.countKeys();
      if (left !== leaves) throw new Error(`${name} has left ${left} keys in place of ${leaves}.`);
      return usage;
    };
    rows.push({
      group: 'change',
      count,
      what: `\`${command.filter((word) => !['--yes', '--for', '2h', '--reason', 'Benchmark'].includes(word)).join(' ')}\``,
      against,
      ...(await measurePairs({
        runs: options.runs,
        ours: () => changing(() => meter.tokengate(command, {input})),
        theirs: () => changing(theirs),
      })),
    });
  }
  return rows;
}

async function measureRenewals(meter, {count, ...data}) {
  const {files} = data;
  const renew = ['renew-budgets', '--quiet'];
  const rows = [];
  const measure = async (name, row, pair) => {
    if (!isWanted(name)) return;
    step(`${name}, ${formatCount(count)} sessions`);
    rows.push({group: 'renew', count, ...row, ...(await measurePairs({runs: options.runs, ...pair}))});
  };
  await server.load(data);
  await server.feed(files.current);
  await measure(
    'renew-nothing',
    {what: '`renew-budgets`, nothing is due', against: '`redis-cli --scan`, then `--pipe` with a `GET` a period'},
    {
      ours: () => meter.tokengate(renew),
      theirs: async () =>
        addUp(
          await meter.redisCli(['--scan', '--pattern', 'tokengate:period:*']),
          await meter.redisPipe(files.readPeriods),
        ),
    },
  );
  const changing = async (args) => {
    await server.load(data);
    await server.feed(files.periods);
    const usage = await meter.tokengate(args);
    const left = await server.countKeys();
    // Budgets and periods.
    if (left !== 2 * count) throw new Error(`${args[0]} has left ${left} keys in place of ${2 * count}.`);
    return usage;
  };
  await measure(
    'renew-all',
    {what: '`renew-budgets`, all are due', against: '`reset-session --all --keep-budget`'},
    {
      ours: () => changing(renew),
      theirs: () => changing(['reset-session', '--all', '--keep-budget', '--yes', '--quiet']),
    },
  );
  return rows;
}

/** The sum of two programs that run one after the other. */
function addUp(a, b) {
  return {
    seconds: a.seconds + b.seconds,
    cpuSeconds: a.cpuSeconds + b.cpuSeconds,
    peakMiB: Math.max(a.peakMiB, b.peakMiB),
  };
}

async function describeRun() {
  const {sessions, runs, starts} = options;
  return {
    line: `npm run bench -- --sessions ${sessions.join(',')} --runs ${runs} --starts ${starts}`,
    date: new Date().toISOString().slice(0, 10),
    node: process.versions.node,
    redis: await server.version(),
    cpus: availableParallelism(),
    platform: `${process.platform} ${process.arch}`,
  };
}

function isWanted(name) {
  return options.only.length === 0 || options.only.some((part) => name === part || name.startsWith(`${part}-`));
}

function readOptions() {
  try {
    const {values} = parseArgs({
      options: {
        sessions: {type: 'string', default: '10000,100000'},
        runs: {type: 'string', default: '5'},
        starts: {type: 'string', default: '15'},
        only: {type: 'string', default: ''},
      },
    });
    return {
      sessions: values.sessions.split(',').map(toCount),
      runs: toCount(values.runs),
      starts: toCount(values.starts),
      only: values.only.split(',').filter((name) => name !== ''),
    };
  } catch (error) {
    process.stderr.write(
      `${error.message}\nUsage: npm run bench -- [--sessions N,N] [--runs N] [--starts N] [--only NAME,NAME]\n` +
        'Names: start, tab, list, record, report, reset, freeze, renew, or one of them such as list-ndjson; with --only no file is written.\n',
    );
    process.exit(1);
  }
}

function toCount(text) {
  if (!/^[1-9]\d{0,7}$/.test(text)) throw new Error(`'${text}' is not a count.`);
  return Number(text);
}

function formatCount(count) {
  return count.toLocaleString('en');
}

function step(text) {
  process.stderr.write(`${text} …\n`);
}
