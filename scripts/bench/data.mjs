// Sessions such as a gateway leaves, their IDs, and the same work on them as files for `redis-cli --pipe`.
import {closeSync, openSync, writeSync} from 'node:fs';
import {join} from 'node:path';

/** The commands for one session, by file; `load` is the data itself. */
export const RESP_FILES = {
  load: {commands: ({id, budget, spent}) => [set(id, 'budget', budget), ...(spent ? [set(id, 'spent', spent)] : [])]},
  read: {
    commands: ({id}) => [
      ['GET', keyOf(id, 'budget')],
      ['GET', keyOf(id, 'spent')],
    ],
  },
  reset: {
    says: '`MULTI`, `GETDEL`, `GETDEL`, `EXEC` a session',
    commands: ({id}) => [['MULTI'], ['GETDEL', keyOf(id, 'budget')], ['GETDEL', keyOf(id, 'spent')], ['EXEC']],
  },
  freeze: {
    says: '`MULTI`, `SET EX`, `SET EX`, `EXEC` a session',
    commands: ({id}) => [
      ['MULTI'],
      ['SET', `anomaly:${id}:frozen_until`, '2099-12-31T23:59:59.000', 'EX', '7200'],
      ['SET', `anomaly:${id}:freeze_reason`, 'Benchmark', 'EX', '7200'],
      ['EXEC'],
    ],
  },
  spend: {
    says: '`INCRBYFLOAT` of one session in a hundred',
    commands: ({id, index}) => (index % 100 === 0 ? [['INCRBYFLOAT', keyOf(id, 'spent'), '0.25']] : []),
  },
};

/** Periods beside the sessions: due ones, or ones that are not due this year. */
const PERIOD_FILES = {
  periods: ({id}) => ['SET', `tokengate:period:${id}`, formatPeriod(new Date(0))],
  current: ({id}) => ['SET', `tokengate:period:${id}`, formatPeriod(new Date())],
  readPeriods: ({id}) => ['GET', `tokengate:period:${id}`],
};

/** Budget files: one as things are, and one that changes every budget. */
const BUDGET_FILES = {
  listed: ({budget}) => budget,
  raised: ({budget}) => raise(budget),
};

/** The budget that the file with the raised ones gives. */
export function raise(budget) {
  return `${budget}5`;
}

function formatPeriod(renewed) {
  return JSON.stringify({
    ...{every: 'year', timezone: 'UTC', at: '00:00', on: null, amount: '50', rollover: 'none', max_rollover: null},
    ...{renewed: renewed.toISOString(), carried: '0'},
  });
}

/** The days of the measured ledger. */
export const LEDGER_MONTH = '2025-03';
const DAYS = Array.from({length: 31}, (_, nth) => `${LEDGER_MONTH}-${String(nth + 1).padStart(2, '0')}`);
const dayKey = (day) => `tokengate:{spending}:day:${day}`;

/** Makes a ledger in which each session spends something every day, and the commands that read it directly. */
export function makeLedger(count, folder) {
  const files = {ledger: join(folder, 'ledger.resp'), days: join(folder, 'days.resp')};
  const times = DAYS.map((day) => [day, Date.parse(day)]);
  const facts = times.flatMap(([day, at]) => [`day:${day}`, `${at} ${at + 86_399_999} 300000 0`]);
  const [[, began]] = times;
  const header = [
    'HSET',
    'tokengate:{spending}:ledger',
    'timezone',
    'UTC',
    'began',
    began,
    'recorded',
    began + 31 * 86_400_000,
  ];
  writeSessions(files.ledger, count, ({id, index}) => {
    const first = index === 0 ? [[...header, 'position', '0-0', ...facts].map(String)] : [];
    const amount = (nth) => `0.0${((index * 7919 + nth * 104_729) % 90_000) + 1}664999999982`;
    return [...first, ...DAYS.map((day, nth) => ['HSET', dayKey(day), id, amount(nth)])].map(encode).join('');
  });
  writeSessions(files.days, 1, () => DAYS.map((day) => encode(['HGETALL', dayKey(day)])).join(''));
  return files;
}

/** Above this number only lists are measured, a few times: one, for its peak memory. */
export const MANY = 100_000;

const BUDGETS = ['10.0', '25.5', '100.0', '0.05', '2500.00'];
const TEAMS = ['alpha', 'checkout', 'search', 'données', 'research'];

/** The same sessions each time, and their files, each of which is written when it is first used. */
export function makeData(count, folder) {
  const texts = {ids: ({id}) => `${id}\n`};
  for (const [name, {commands}] of Object.entries(RESP_FILES)) {
    texts[name] = (session) => commands(session).map(encode).join('');
  }
  for (const [name, toCommand] of Object.entries(PERIOD_FILES)) texts[name] = (session) => encode(toCommand(session));
  for (const [name, toBudget] of Object.entries(BUDGET_FILES)) {
    texts[name] = (session) => {
      const head = session.index === 0 ? 'version: 1\nsessions:\n' : '';
      return `${head}  ${session.id}: {budget: ${toBudget(session)}}\n`;
    };
  }
  const written = new Set();
  const files = {};
  for (const [name, toText] of Object.entries(texts)) {
    const path = join(folder, name);
    const write = () => {
      if (!written.has(name)) writeSessions(path, count, toText);
      written.add(name);
      return path;
    };
    Object.defineProperty(files, name, {get: write, enumerable: true});
  }
  let keys = 0;
  for (let index = 0; index < count; index++) keys += RESP_FILES.load.commands(sessionAt(index)).length;
  return {count, keys, files, first: sessionAt(0)};
}

function writeSessions(path, count, toText) {
  const file = openSync(path, 'w');
  let text = '';
  for (let index = 0; index < count; index++) {
    text += toText(sessionAt(index));
    if (text.length < 1_000_000 && index < count - 1) continue;
    writeSync(file, text);
    text = '';
  }
  closeSync(file);
}

function sessionAt(index) {
  const random = scramble(index);
  const hex = random.toString(16).padStart(8, '0');
  const ids = [
    `user-${index}`,
    `team:${TEAMS[random % TEAMS.length]}:job-${index}`,
    `${hex}-${(index % 65_536).toString(16).padStart(4, '0')}-4c1e-9a57-${index.toString(16).padStart(12, '0')}`,
  ];
  // One in eight has not made a request yet; most others have a sum of many small costs.
  const spent = random % 8 === 0 ? undefined : `${random % 10}.${hex.replaceAll(/\D/g, '7')}664999999982`;
  return {index, id: ids[index % ids.length], budget: BUDGETS[random % BUDGETS.length], spent};
}

/** A number below 2³² that looks random, and is the same each time. */
function scramble(index) {
  const mixed = Math.imul(index ^ (index >>> 15), 0x2c1b3c6d);
  return Math.imul(mixed ^ (mixed >>> 12), 0x297a2d39) >>> 0;
}

function set(id, field, value) {
  return ['SET', keyOf(id, field), value];
}

function keyOf(id, field) {
  return `session:${id}:${field}`;
}

function encode(words) {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
}
