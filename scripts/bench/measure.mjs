// What a process takes: time from its start to its end, CPU time and peak memory.
import {spawnSync} from 'node:child_process';
import {existsSync, readFileSync, realpathSync, rmSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';

import {feed, run} from './run.mjs';

const GNU_TIME = '/usr/bin/time';

/** Without GNU time, a Node process records its own usage. */
const WRITE_USAGE = `process.on('exit', () => {
  const {maxRSS, userCPUTime, systemCPUTime} = process.resourceUsage();
  const usage = [maxRSS, userCPUTime / 1e6, systemCPUTime / 1e6].join(' ');
  require('node:fs').writeFileSync(process.env.BENCH_USAGE, usage);
});
`;

/** Programs over TCP unless it is said that they go over the `socket`. */
export function makeMeter({folder, cli, places}, tokengate, counter) {
  const usageFile = join(folder, 'usage.txt');
  const preload = join(folder, 'write-usage.cjs');
  writeFileSync(preload, WRITE_USAGE);
  const hasGnuTime =
    existsSync(GNU_TIME) && /GNU/.test(spawnSync(GNU_TIME, ['--version'], {encoding: 'utf8'}).stdout ?? '');
  // A user's own variables could slow both sides down, and so hide the ratio: with NODE_EXTRA_CA_CERTS Node 20 parses
  // the certificates at every start.
  const {PATH, LANG} = process.env;
  const env = {PATH, LANG, HOME: folder, BENCH_USAGE: usageFile};
  if (!hasGnuTime) env.NODE_OPTIONS = `--require ${preload}`;

  const measure = async (start, program, args, ...rest) => {
    rmSync(usageFile, {force: true});
    const [file, words] = hasGnuTime
      ? [GNU_TIME, ['-f', '%M %U %S', '-o', usageFile, program, ...args]]
      : [program, args];
    const {seconds} = await start(file, words, ...rest);
    if (!existsSync(usageFile)) return {seconds, cpuSeconds: NaN, peakMiB: NaN};
    // Before them GNU time writes a line about an exit code that is not 0.
    const [peakKiB, user, system] = readFileSync(usageFile, 'utf8').trim().split(/\s/).slice(-3).map(Number);
    return {seconds, cpuSeconds: user + system, peakMiB: peakKiB / 1024};
  };
  const ofPlace = (over = 'TCP') => ({...env, TOKENGATE_REDIS_URL: places[over].url});
  return {
    node: (args) => measure(run, process.execPath, args, {env}),
    tokengate: (args, {input, over, env: more, wanted} = {}) =>
      measure(run, tokengate, args, {input, wanted, env: {...ofPlace(over), ...more}}),
    redisCli: (args, over = 'TCP') => measure(run, cli, [...places[over].options, ...args], {env}),
    redisPipe: (file, over = 'TCP') => measure(feed, cli, [...places[over].options, '--pipe'], file, {env}),
    /** In a run of its own, after others have left the code that they compiled. */
    countInstructions: ({args, over, env: more}) =>
      counter?.count([process.execPath, realpathSync(tokengate), ...args], {...ofPlace(over), ...more}),
    countNode: (args) => counter?.count([process.execPath, ...args], env),
  };
}

/**
 * Runs two things alternately, so that anything that slows the machine down slows both. A first run of each fills the
 * caches and is not counted.
 */
export async function measurePairs({runs, ours, theirs}) {
  await ours();
  await theirs();
  const pairs = [];
  for (let count = 0; count < runs; count++) {
    // Alternate which one runs first.
    const isEven = count % 2 === 0;
    const first = await (isEven ? ours : theirs)();
    const second = await (isEven ? theirs : ours)();
    pairs.push(isEven ? [first, second] : [second, first]);
  }
  const mine = pairs.map(([usage]) => usage);
  const others = pairs.map(([, usage]) => usage);
  return {
    ours: summarize(mine),
    theirs: summarize(others),
    ratio: spread(pairs.map(([a, b]) => a.seconds / b.seconds)),
  };
}

function summarize(usages) {
  return {
    seconds: spread(usages.map(({seconds}) => seconds)),
    cpuSeconds: spread(usages.map(({cpuSeconds}) => cpuSeconds)).median,
    peakMiB: Math.max(...usages.map(({peakMiB}) => peakMiB)),
  };
}

function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const median = (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
  return {median, min: sorted[0], max: sorted.at(-1)};
}

/** Two programs one after the other, as one. */
export function addUp(a, b) {
  return {
    seconds: a.seconds + b.seconds,
    cpuSeconds: a.cpuSeconds + b.cpuSeconds,
    peakMiB: Math.max(a.peakMiB, b.peakMiB),
  };
}
