// Measures the CLI, packed and installed as users have it, as whole processes. Beside each of them runs the smallest program
// that does the same work. Prints the ratios and writes them to docs/development/benchmarks.md. Never fails because of a
// time, but checks that what it measures is right.
//
//   npm run bench -- --sessions 10000,100000 --runs 5 --starts 15 --only list-ndjson,reset
import {writeFileSync} from 'node:fs';
import {availableParallelism, constants, cpus, loadavg} from 'node:os';
import {join} from 'node:path';
import {parseArgs} from 'node:util';

import {installPacked, installPackages, provide, ROOT} from '../setup.mjs';
import {makeData, MANY} from './data.mjs';
import {makeCounter} from './instructions.mjs';
import {makeMeter, measurePairs} from './measure.mjs';
import {formatReport, formatTables} from './report.mjs';
import batches from './sections/batches.mjs';
import budgetFiles from './sections/budget-files.mjs';
import lists from './sections/lists.mjs';
import renewals from './sections/renewals.mjs';
import spending from './sections/spending.mjs';
import starts from './sections/starts.mjs';
import {startServer} from './server.mjs';
import {targetOf} from './targets.mjs';

const OUTPUT = 'docs/development/benchmarks.md';
/** Each of these is measured once for each number of sessions. */
const SIZED = [lists, spending, batches, renewals, budgetFiles];
/** How often a list of very many sessions is measured. */
const FEW_RUNS = 3;

const options = readOptions();
const loadBefore = loadavg()[0];
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
  const counter = makeCounter(server.folder);
  const meter = makeMeter(server, installPacked(server.folder), counter);
  const rows = await measureAll(meter);
  if (rows.length === 0) throw new Error(`--only ${options.only.join(',')} chooses nothing.`);
  const sections = [starts, ...SIZED];
  process.stdout.write(`${formatTables(sections, rows)}\n`);
  if (options.only.length === 0) {
    writeFileSync(join(ROOT, OUTPUT), formatReport(sections, rows, await describeRun(counter)));
    process.stderr.write(`Written: ${OUTPUT}\n`);
  }
} catch (error) {
  // Whatever runs while the server is being stopped fails because of that.
  if (!isEnding) process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
} finally {
  await server.stop();
}

async function measureAll(meter) {
  const rows = [];
  /** Instructions of `node -e 0`, which is beside everything that is counted. */
  let baseline;
  /** Measures a row, if it is wanted. What a section gives besides is `what`, `against`, `ours` and `theirs`. */
  const measurer =
    (section, {count, runs}) =>
    async ({name, prepare, ours, theirs, counted, ...row}) => {
      if (!isWanted(name)) return;
      step([name, row.over, count && `${formatCount(count)} sessions`].filter(Boolean).join(', '));
      await prepare?.();
      const measured = await measurePairs({runs, ours, theirs});
      const instructions = counted && (await meter.countInstructions(counted));
      const theirInstructions = instructions && (baseline ??= await meter.countNode(['-e', '0']));
      const target = targetOf(name, {count, ...row});
      rows.push({section, count, target, instructions, theirInstructions, ...row, ...measured});
    };
  await starts.measure({server, meter, measure: measurer(starts, {runs: options.starts})});
  for (const count of options.sessions) {
    const wanted = (count > MANY ? [lists] : SIZED).filter(({names}) => names.some(isWanted));
    const runs = count > MANY ? Math.min(options.runs, FEW_RUNS) : options.runs;
    if (wanted.length === 0) continue;
    step(`data of ${formatCount(count)} sessions`);
    const data = makeData(count, server.folder);
    for (const section of wanted) {
      await section.measure({server, meter, data, measure: measurer(section, {count, runs})});
    }
  }
  return rows;
}

async function describeRun(counter) {
  const {sessions, runs, starts} = options;
  return {
    line: `npm run bench -- --sessions ${sessions.join(',')} --runs ${runs} --starts ${starts}`,
    date: new Date().toISOString().slice(0, 10),
    node: process.versions.node,
    redis: await server.version(),
    machine: `${availableParallelism()} CPUs (${cpus()[0]?.model.trim() ?? 'unknown'}, ${process.platform} ${process.arch})`,
    load: [loadBefore, loadavg()[0]].map((load) => load.toFixed(1)),
    counter: counter?.name,
  };
}

function isWanted(name) {
  return options.only.length === 0 || options.only.some((part) => name === part || name.startsWith(`${part}-`));
}

function readOptions() {
  try {
    const {values} = parseArgs({
      options: {
        sessions: {type: 'string', default: '1000,10000,100000,1000000'},
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
        'Names: start, first, tab, list, record, report, reset, freeze, renew, budgets, or one of them such as list-ndjson; with --only no file is written.\n',
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
