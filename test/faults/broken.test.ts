import {breakRedis, type Broken, type Expected, failure, fake, FINE, testFaults} from '../support/faults.js';
import {startProxy, type Verdict} from '../support/impostors/proxy.js';
import {answering, closing, echoing, greeting, resetting} from '../support/impostors/servers.js';
import type {TestRedis} from '../support/redis/redis-server.js';

const closed = failure(
  'The server at ADDRESS closed the connection at once.',
  'Does it expect TLS? Then use rediss://.',
);
const noRedis = failure(
  'The server at ADDRESS does not speak the Redis protocol.',
  'Check --redis-url or TOKENGATE_REDIS_URL.',
);
const LOST = 'Lost the connection to Redis at ADDRESS.';
const lost = failure(LOST);
const LATER = ' If it was done, the journal has the old values: change CHANGE.';
const DONE = ' The journal has it, as change CHANGE: it was done.';
const CLOSED_LATER = `A second look failed: The server at ADDRESS closed the connection at once.${LATER}`;
const unknownWrite = (look: string): Expected => ({
  stderr: [`Error: ${LOST} It is unknown whether the budget of session 'a' was set.`, look],
});

testFaults('the connection breaks', [
  {name: 'closed at once', start: fake(closing), expected: closed},
  {name: 'reset at once', start: fake(resetting), expected: closed},
  {
    name: 'at the first command',
    start: () => throughProxy((request) => (request.includes('\r\nHELLO\r\n') ? 'pass' : 'lose-reply')),
    isFresh: true,
    expected: lost,
  },
  {
    name: 'after a change, before its answer',
    start: () => throughProxy((request) => (isChange(request) ? 'lose-reply' : 'pass')),
    isFresh: true,
    expected: {
      ...FINE,
      health: lost,
      write: {
        ...unknownWrite(`Before: budget $20.00, spent $0.00000075. Now: budget $5.00, spent $0.00000075.${DONE}`),
        isChanged: true,
      },
      batch: {
        ...unknownBatch(
          `Before: budget $20.00, spent $0.00000075. Now: budget none, spent none.${DONE}`,
          `Before: budget $3.00, spent none. Now: budget none, spent none.${DONE}`,
        ),
        isChanged: true,
      },
    },
  },
  {
    name: 'since Redis is killed at a change',
    start: () =>
      throughProxy(
        (request) => (isChange(request) ? 'swallow' : 'pass'),
        ({process}) => process.kill('SIGKILL'),
      ),
    isFresh: true,
    expected: {
      ...FINE,
      health: lost,
      write: unknownWrite(`Before: budget $20.00, spent $0.00000075. ${CLOSED_LATER}`),
      batch: unknownBatch(CLOSED_LATER, CLOSED_LATER),
    },
  },
]);

testFaults('the server is none', [
  {name: 'HTTP', start: fake(answering('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')), expected: noRedis},
  {name: 'SSH', start: fake(greeting('SSH-2.0-OpenSSH_9.2p1\r\n')), expected: noRedis},
  {name: 'SMTP', start: fake(greeting('220 mail.example ESMTP\r\n')), expected: noRedis},
  {
    name: 'bytes of no meaning',
    start: fake(greeting(Buffer.from([0, 255, 254, 13, 10, 128, 7, 0]))),
    expected: noRedis,
  },
  {
    name: 'one that repeats what it is sent',
    start: fake(echoing),
    expected: failure('Redis at ADDRESS answered with an error: ERR unknown command.'),
  },
]);

function unknownBatch(a: string, b: string): Expected {
  return {
    stderr: [
      `Error: Session 'a': it is unknown whether it was changed. ${a}`,
      `Error: Session 'b': it is unknown whether it was changed. ${b}`,
      `Error: ${LOST} Reset 0, unknown 2.`,
      'Running it again finishes the work.',
    ],
  };
}

/** A script, a transaction, or the write of a health check. */
function isChange(request: string): boolean {
  return /\r\n(EVAL|EXEC|SET)\r\n/.test(request);
}

async function throughProxy(
  judge: (request: string) => Verdict,
  strike?: (redis: TestRedis) => unknown,
): Promise<Broken> {
  const broken = await breakRedis();
  const proxy = await startProxy(broken.redis, (request) => {
    const verdict = judge(request);
    if (verdict !== 'pass') strike?.(broken.redis);
    return verdict;
  });
  return {
    url: proxy.url,
    ...(strike === undefined && broken.look !== undefined ? {look: broken.look} : {}),
    async stop() {
      await proxy.stop();
      await broken.stop();
    },
  };
}
