import {connect} from 'node:net';

import {
  breakRedis,
  type Broken,
  type Expected,
  failure,
  fake,
  type Fault,
  FINE,
  testFaults,
} from '../support/faults.js';
import {startProxy} from '../support/impostors/proxy.js';
import {answering, greeting, silent} from '../support/impostors/servers.js';
import type {TestRedis} from '../support/redis/redis-server.js';

const notWithin = (seconds: number): string => `Redis at ADDRESS did not answer within ${seconds} s.`;
const SILENT = notWithin(5);
const HINT = 'The server may be overloaded, stopped, or behind a firewall.';
const silence = failure(notWithin(1), HINT);
const LATER = `A second look failed: ${SILENT} If it was done, the journal has the old values: change CHANGE.`;
const HELLO = '*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n';

/**
 * Each waits for the limit, and for a second one where a change was under way. The limit is longer where an answer has to
 * come before.
 */
const faults: Fault[] = [
  {name: 'from the start', start: fake(silent), expected: silence},
  {name: 'in the middle of its first answer', start: fake(answering(`+OK\r\n${HELLO}`)), expected: silence},
  {name: 'but for a byte now and then', start: fake(drip), expected: silence},
  {name: 'since it is stopped', start: startStopped, expected: silence},
  {name: 'since it runs a script that nobody may end', start: startFrozen, expected: silence},
  {
    name: 'from the first command on',
    start: () => throughProxy((request) => !isGreeting(request)),
    expected: silence,
  },
  {
    name: 'when it is to change something',
    timeout: 5,
    start: () => throughProxy(isChange),
    expected: {
      ...FINE,
      health: failure(SILENT, HINT),
      write: {
        stderr: [
          `Error: ${SILENT} It is unknown whether the budget of session 'a' was set.`,
          unchanged('budget $20.00, spent $0.00000075'),
        ],
      },
      batch: unknownBatch(unchanged('budget $20.00, spent $0.00000075'), unchanged('budget $3.00, spent none')),
    },
  },
  {
    name: 'when it is to change something, and after that',
    timeout: 5,
    isFresh: true,
    start: () => throughProxy(isChange, ({process}) => process.kill('SIGSTOP')),
    expected: {
      ...FINE,
      health: failure(SILENT, HINT),
      write: {
        stderr: [
          `Error: ${SILENT} It is unknown whether the budget of session 'a' was set.`,
          `Before: budget $20.00, spent $0.00000075. ${LATER}`,
        ],
      },
      batch: unknownBatch(LATER, LATER),
    },
  },
];

testFaults(
  'Redis is silent',
  faults.map((fault) => ({timeout: 1, ...fault})),
);

function unchanged(values: string): string {
  return `Before: ${values}. Now: ${values}. The journal has no such change.`;
}

function unknownBatch(a: string, b: string): Expected {
  return {
    stderr: [
      `Error: Session 'a': it is unknown whether it was changed. ${a}`,
      `Error: Session 'b': it is unknown whether it was changed. ${b}`,
      `Error: ${SILENT} Reset 0, unknown 2.`,
      'Running it again finishes the work.',
    ],
  };
}

function isGreeting(request: string): boolean {
  return request.includes('HELLO');
}

/** A script, a transaction, or the write of a health check. */
function isChange(request: string): boolean {
  return /\r\n(EVAL|EXEC|SET)\r\n/.test(request);
}

/** A real server whose connections fall silent at the requests that are chosen. */
async function throughProxy(
  isLast: (request: string) => boolean,
  strike?: (redis: TestRedis) => unknown,
): Promise<Broken> {
  const broken = await breakRedis({mend: ({process}) => Promise.resolve(process.kill('SIGCONT'))});
  const proxy = await startProxy(broken.redis, (request) => {
    if (!isLast(request)) return 'pass';
    strike?.(broken.redis);
    return 'swallow';
  });
  return {
    url: proxy.url,
    async stop() {
      await proxy.stop();
      await broken.stop();
    },
  };
}

async function startStopped(): Promise<Broken> {
  const broken = await breakRedis({mend: ({process}) => Promise.resolve(process.kill('SIGCONT'))});
  broken.redis.process.kill('SIGSTOP');
  return broken;
}

/** Nothing but its end stops a script that has written. */
async function startFrozen(): Promise<Broken> {
  const broken = await breakRedis();
  const {hostname, port} = new URL(broken.url);
  await broken.redis.client.configSet('busy-reply-threshold', '0');
  const socket = connect(Number(port), hostname);
  socket.on('error', () => {
    // The server is killed in the end.
  });
  // What comes after it waits for its end.
  await new Promise((written) => socket.write("EVAL 'while true do end' 0\r\n", written));
  return {url: broken.url, stop: () => broken.redis.stop()};
}

/** Begins an answer of a million parts. */
function drip(socket: Parameters<typeof silent>[0]): void {
  greeting('*1000000\r\n')(socket);
  const timer = setInterval(() => socket.write('+x\r\n'), 100);
  socket.once('close', () => {
    clearInterval(timer);
  });
}
