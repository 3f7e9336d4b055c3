import {ErrorReply} from 'redis';
import {describe, expect, test} from 'vitest';

import {DeadlineError, explainFailure, type FailureContext, oneLine} from '../../../../src/lib/redis/failures.js';
import {TokengateError} from '../../../../src/lib/values/errors.js';

const CONTEXT: FailureContext = {
  kind: 'Redis',
  address: 'db:6379',
  timeoutMs: 2500,
  explainTls: undefined,
  secrets: [],
  stage: 'answered',
};
const noTls = (): undefined => undefined;

/** `CODE message | hint` */
function told(thrown: unknown, context: Partial<FailureContext> = {}, firstError?: unknown): string {
  const {code, message, hint} = explainFailure(thrown, {...CONTEXT, ...context}, firstError);
  return `${code} ${message}${hint === undefined ? '' : ` | ${hint}`}`;
}
const reply = (text: string, context: Partial<FailureContext> = {}): string => told(new ErrorReply(text), context);
const ofSystem = (code: string): Error => Object.assign(new Error(`connect ${code}`), {code});
/** As node-redis throws them: known by the name of their class. */
const ofClass = (name: string, message = ''): Error => new {[name]: class extends Error {}}[name]!(message);

test('what Redis answers is told in one sentence, with what to do', () => {
  const words = [
    ...['NOAUTH Authentication required.', 'WRONGPASS invalid pair', 'LOADING Redis is loading', 'READONLY no writes'],
    ...['MASTERDOWN Link is down', 'OOM command not allowed', 'MISCONF Redis is configured', 'NOREPLICAS Not enough'],
    ...['BUSY Redis is busy', 'DENIED Redis is running in protected mode', 'WRONGTYPE Operation', 'CLUSTERDOWN Hash'],
    ...['MOVED 1 b:1', 'ASK 1 b:1', "CROSSSLOT Keys don't hash", 'TRYAGAIN Multiple keys'],
    ...[
      'ERR max number of clients reached',
      'ERR DB index is out of range',
      'ERR SELECT is not allowed in cluster mode',
    ],
    ...['ERR Client sent AUTH, but no password is set', 'ERR AUTH <password> called without any password configured'],
    ...['ERR in a script: WRONGTYPE Operation', '-OOM with a dash', 'ERR unknown command', 'odd'],
  ];
  expect(words.map((text) => reply(text))).toMatchInlineSnapshot(`
    [
      "REDIS_AUTH_FAILED Redis at db:6379 requires a password. | Give it in the URL: redis://user:password@host:port (best in TOKENGATE_REDIS_URL or a --redis-url-file).",
      "REDIS_AUTH_FAILED Redis at db:6379 rejected the user name or password. | In a URL, percent-encode / ? # @ % in either.",
      "REDIS_LOADING Redis at db:6379 is still loading its data. | Try again shortly.",
      "REDIS_READONLY Redis at db:6379 is a read-only replica. | Use the primary's address.",
      "REDIS_MASTERDOWN Redis at db:6379 is a replica that lost its primary. | Use the primary's address.",
      "REDIS_OUT_OF_MEMORY Redis at db:6379 is out of memory (maxmemory) and refused the write. | Free some, or raise maxmemory.",
      "REDIS_WRITES_REFUSED Redis at db:6379 refuses writes: it cannot save to disk. | See the server's log, and its disk.",
      "REDIS_WRITES_REFUSED Redis at db:6379 refuses writes: not enough replicas. | See min-replicas-to-write, and its replicas.",
      "REDIS_BUSY Redis at db:6379 is busy running a script. | Try again; SCRIPT KILL ends a script that hangs.",
      "REDIS_AUTH_FAILED Redis at db:6379 refused the connection (protected mode). | It takes no remote clients without a password: set one, or connect from its own machine.",
      "WRONG_TYPE A key in Redis at db:6379 holds the wrong kind of value.",
      "REDIS_CLUSTER_DOWN Redis at db:6379 says that its cluster serves no such key now. | A primary may be gone: see CLUSTER NODES on any node. Try again when another has taken over.",
      "REDIS_CLUSTER Redis at db:6379 is part of a Redis Cluster, and redirects to another node. | Try again shortly. A cluster is recognised by HELLO or INFO: the user needs the right to one of them.",
      "REDIS_CLUSTER Redis at db:6379 is part of a Redis Cluster, and redirects to another node. | Try again shortly. A cluster is recognised by HELLO or INFO: the user needs the right to one of them.",
      "REDIS_CLUSTER Redis at db:6379 is part of a Redis Cluster, and redirects to another node. | Try again shortly. A cluster is recognised by HELLO or INFO: the user needs the right to one of them.",
      "REDIS_BUSY Redis at db:6379 is handing keys on to another node of its cluster. | Try again shortly.",
      "REDIS_UNREACHABLE Redis at db:6379 has no free client connections. | Try again shortly, or raise maxclients.",
      "INVALID_REDIS_URL Redis at db:6379 has no such database. | See /N or ?db=N in the URL; most servers have 0 to 15.",
      "INVALID_REDIS_URL Redis at db:6379 has no such database. | See /N or ?db=N in the URL; most servers have 0 to 15.",
      "REDIS_AUTH_FAILED Redis at db:6379 has no password set, but one was given. | Is it the right server? Then leave the password out of the URL.",
      "REDIS_AUTH_FAILED Redis at db:6379 has no password set, but one was given. | Is it the right server? Then leave the password out of the URL.",
      "WRONG_TYPE A key in Redis at db:6379 holds the wrong kind of value.",
      "REDIS_OUT_OF_MEMORY Redis at db:6379 is out of memory (maxmemory) and refused the write. | Free some, or raise maxmemory.",
      "REDIS_ERROR Redis at db:6379 answered with an error: ERR unknown command.",
      "REDIS_ERROR Redis at db:6379 answered with an error: odd.",
    ]
  `);
  expect(reply('NOAUTH', {kind: 'Sentinel'})).toMatchInlineSnapshot(
    `"REDIS_AUTH_FAILED Sentinel at db:6379 requires a password. | Give it in the URL: ?sentinel_password=… (best in TOKENGATE_REDIS_URL or a --redis-url-file)."`,
  );
});

test('what a user may not do is named', () => {
  const words = [
    "NOPERM User x has no permissions to run the 'get' command",
    'NOPERM No permissions to access a key',
    'NOPERM this user has no permissions to access one of the keys used as arguments',
    'NOPERM no more is said',
    "ERR The user executing the script can't run this command or subcommand script: ab",
    "ERR The user executing the script can't access at least one of the keys mentioned script: ab",
    "ERR The user executing the script can't access anything",
    "ERR ACL failure in script: User few has no permissions to run the 'set' command",
    'ERR ACL failure in script: No permissions to access a key',
  ];
  expect(words.map((text) => reply(text).split(' | ')[0])).toMatchInlineSnapshot(`
    [
      "REDIS_NO_PERMISSION Redis at db:6379 refused: this user lacks a permission ('get' command).",
      "REDIS_NO_PERMISSION Redis at db:6379 refused: this user lacks a permission (access to a key).",
      "REDIS_NO_PERMISSION Redis at db:6379 refused: this user lacks a permission (access to a key).",
      "REDIS_NO_PERMISSION Redis at db:6379 refused: this user lacks a permission.",
      "REDIS_NO_PERMISSION Redis at db:6379 refused: this user lacks a permission (a command that a script runs).",
      "REDIS_NO_PERMISSION Redis at db:6379 refused: this user lacks a permission (access to a key).",
      "REDIS_NO_PERMISSION Redis at db:6379 refused: this user lacks a permission.",
      "REDIS_NO_PERMISSION Redis at db:6379 refused: this user lacks a permission ('set' command).",
      "REDIS_NO_PERMISSION Redis at db:6379 refused: this user lacks a permission (access to a key).",
    ]
  `);
});

test('what the system says of a connection is told by its code', () => {
  const codes = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ENOENT', 'EACCES', 'ETIMEDOUT', 'EHOSTUNREACH'];
  const lost = ['ENETUNREACH', 'ECONNRESET', 'EPIPE', 'EODD'];
  expect([...codes, ...lost].map((code) => told(ofSystem(code)))).toMatchInlineSnapshot(`
    [
      "REDIS_UNREACHABLE Cannot connect to Redis at db:6379: connection refused (is Redis running?). | Check --redis-url or TOKENGATE_REDIS_URL.",
      "REDIS_UNREACHABLE Cannot connect to Redis at db:6379: host name not found. | Check --redis-url or TOKENGATE_REDIS_URL.",
      "REDIS_UNREACHABLE Cannot connect to Redis at db:6379: the name server did not answer. | Check --redis-url or TOKENGATE_REDIS_URL.",
      "REDIS_UNREACHABLE Cannot connect to Redis at db:6379: no such socket file. | Check --redis-url or TOKENGATE_REDIS_URL.",
      "REDIS_UNREACHABLE Cannot connect to Redis at db:6379: permission denied. | Check --redis-url or TOKENGATE_REDIS_URL.",
      "REDIS_UNREACHABLE Cannot connect to Redis at db:6379: no answer. | Check --redis-url or TOKENGATE_REDIS_URL.",
      "REDIS_UNREACHABLE Cannot connect to Redis at db:6379: no route to the host. | Check --redis-url or TOKENGATE_REDIS_URL.",
      "REDIS_UNREACHABLE Cannot connect to Redis at db:6379: the network is unreachable. | Check --redis-url or TOKENGATE_REDIS_URL.",
      "REDIS_CONNECTION_LOST Lost the connection to Redis at db:6379.",
      "REDIS_CONNECTION_LOST Lost the connection to Redis at db:6379.",
      "REDIS_ERROR Redis at db:6379 failed: EODD.",
    ]
  `);
});

describe('the end of a connection', () => {
  const lost = ofClass('SocketClosedUnexpectedlyError');

  test('means something else at each stage', () => {
    expect([
      told(lost),
      told(lost, {explainTls: noTls}),
      told(lost, {stage: 'accepted'}),
      told(lost, {stage: 'connecting'}),
      told(lost, {stage: 'accepted', explainTls: noTls}),
      told(lost, {stage: 'connecting', explainTls: noTls}),
    ]).toMatchInlineSnapshot(`
      [
        "REDIS_CONNECTION_LOST Lost the connection to Redis at db:6379.",
        "REDIS_CONNECTION_LOST Lost the connection to Redis at db:6379.",
        "REDIS_CONNECTION_LOST The server at db:6379 closed the connection at once. | Does it expect TLS? Then use rediss://.",
        "REDIS_CONNECTION_LOST The server at db:6379 closed the connection at once. | Does it expect TLS? Then use rediss://.",
        "REDIS_TLS_FAILED TLS to Redis at db:6379 failed: the server closed the connection after the handshake. | It may want a client certificate that it trusts: --tls-cert FILE and --tls-key FILE.",
        "REDIS_CONNECTION_LOST The server at db:6379 closed the connection at once. | Does it speak TLS? If not, use redis://.",
      ]
    `);
  });

  test('is the same by whatever class', () => {
    for (const name of ['ClientClosedError', 'DisconnectsClientError', 'SocketClosedUnexpectedlyError']) {
      expect(told(ofClass(name))).toBe(told(lost));
      expect(told(ofClass(name), {}, ofSystem('ECONNREFUSED'))).toBe(told(ofSystem('ECONNREFUSED')));
      const own = ofClass(name);
      expect(told(own, {}, own)).toBe(told(lost));
    }
    expect(told(ofSystem('ENOENT'), {}, ofSystem('ECONNREFUSED'))).toBe(told(ofSystem('ENOENT')));
  });

  test('for lack of an answer', () => {
    expect([
      told(new DeadlineError()),
      told(new DeadlineError(), {stage: 'accepted'}),
      told(new DeadlineError(), {stage: 'connecting'}),
      told(new DeadlineError(), {stage: 'connecting', explainTls: noTls}),
      told(ofClass('ConnectionTimeoutError'), {kind: 'Sentinel'}),
    ]).toMatchInlineSnapshot(`
      [
        "REDIS_TIMEOUT Redis at db:6379 did not answer within 2.5 s. | The server may be overloaded, stopped, or behind a firewall.",
        "REDIS_TIMEOUT Redis at db:6379 did not answer within 2.5 s. | The server may be overloaded, stopped, or behind a firewall.",
        "REDIS_TIMEOUT Cannot connect to Redis at db:6379: no answer within 2.5 s. | Check --redis-url or TOKENGATE_REDIS_URL.",
        "REDIS_TIMEOUT Cannot connect to Redis at db:6379: no answer within 2.5 s. | Is it a TLS port? If not, use redis://; else check the address.",
        "REDIS_TIMEOUT Cannot connect to Sentinel at db:6379: no answer within 2.5 s. | Check --redis-url or TOKENGATE_REDIS_URL.",
      ]
    `);
    expect(new DeadlineError()).toMatchObject({name: 'DeadlineError', message: 'no answer in time'});
  });
});

describe('a failure', () => {
  test('is told by what is at its root', () => {
    const refused = ofSystem('ECONNREFUSED');
    expect(told(new AggregateError([refused, ofSystem('ENOTFOUND')]))).toBe(told(refused));
    expect(told(new AggregateError([], 'all failed'))).toContain('all failed');
    expect(told(Object.assign(new Error('x'), {originalError: refused}))).toBe(told(refused));
    const known = new TokengateError('KNOWN', 'Known.');
    expect(explainFailure(known, CONTEXT)).toBe(known);
    expect(told(ofClass('ClientClosedError'), {}, new AggregateError([refused]))).toBe(told(refused));
  });

  test('keeps what was thrown as its cause', () => {
    for (const thrown of [
      ofSystem('ECONNREFUSED'),
      new ErrorReply('NOPERM'),
      new ErrorReply('ERR odd'),
      new Error('odd'),
    ]) {
      expect(explainFailure(thrown, CONTEXT).cause).toBe(thrown);
    }
  });

  test('of TLS is told in the words of TLS', () => {
    const ofTls = new TokengateError('REDIS_TLS_FAILED', 'TLS failed.');
    expect(explainFailure(ofSystem('ECONNRESET'), {...CONTEXT, explainTls: () => ofTls})).toBe(ofTls);
    expect(told(new ErrorReply('NOAUTH'), {explainTls: () => ofTls})).toBe(reply('NOAUTH'));
  });

  test.each([
    [
      'Got an unknown RESP type "H"',
      'REDIS_PROTOCOL The server at db:6379 does not speak the Redis protocol. | Check --redis-url or TOKENGATE_REDIS_URL.',
    ],
    [
      'Protocol error',
      'REDIS_PROTOCOL The server at db:6379 does not speak the Redis protocol. | Check --redis-url or TOKENGATE_REDIS_URL.',
    ],
    ['something\nodd.', 'REDIS_ERROR Redis at db:6379 failed: something odd.'],
  ])('of another kind, %j', (message, sentence) => {
    expect(told(new Error(message))).toBe(sentence);
  });

  test.each([
    ['a text', 'a text'],
    [new RangeError(''), 'RangeError'],
    [Object.assign(new Error('m'), {code: 7}), 'm'],
    [undefined, 'undefined'],
  ])('of no kind, %j', (thrown, what) => {
    expect(told(thrown)).toBe(`REDIS_ERROR Redis at db:6379 failed: ${what}.`);
  });
});

describe('a secret', () => {
  const ofReply = (text: string, ...secrets: string[]): string =>
    reply(text, {secrets}).replace('REDIS_ERROR Redis at db:6379 answered with an error: ', '');
  test.each([
    ['ERR what hunter2 and hunter2', ['hunter2'], 'ERR what *** and ***.'],
    ['ERR a(b)*c', ['a(b)*c'], 'ERR ***.'],
    ['ERR a.c abc', ['a.c'], 'ERR *** abc.'],
    ['ERR pa pat a pa', ['pa'], 'ERR *** pat a ***.'],
    ['ERR xpa pax', ['pa'], 'ERR xpa pax.'],
    ['ERR xpassx', ['pass'], 'ERR x***x.'],
    ['ERR one two', ['one', 'two'], 'ERR *** ***.'],
    ["ERR unknown command 'AUTH', with args beginning with: 'hunt\ner", ['hunter2'], "ERR unknown command 'AUTH'."],
  ])('in %j is not told', (text, secrets, line) => {
    expect(ofReply(text, ...secrets)).toBe(line);
  });

  test('is not told by the system either', () => {
    expect(told(new Error('no hunter2'), {secrets: ['hunter2']})).toBe('REDIS_ERROR Redis at db:6379 failed: no ***.');
  });
});

test.each([
  [' a\r\n\tb\u0000\u001b[31m. ', 'a b [31m'],
  ['a..', 'a.'],
  ['x'.repeat(200), 'x'.repeat(200)],
  ['x'.repeat(201), `${'x'.repeat(200)}…`],
])('a line of %j is %j', (text, line) => {
  expect(oneLine(text)).toBe(line);
});
