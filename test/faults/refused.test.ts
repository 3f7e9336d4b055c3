import {mkdir, mkdtemp, rm} from 'node:fs/promises';
import {connect} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {
  bothFailed,
  breakRedis,
  type Broken,
  each,
  failure,
  fake,
  FINE,
  operator,
  testFaults,
} from '../support/faults.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';
import {until} from '../support/until.js';

const PERMISSION_HINT =
  'See ACL SETUSER: the user needs the commands, and the keys session:*, anomaly:* and tokengate:*.';
const JOURNAL_HINT =
  'The journal needs scripts (EVAL). With --no-journal you can still set budgets and reset sessions.';
const noPermission = (what: string): string => `Redis at ADDRESS refused: this user lacks a permission (${what}).`;
const rejected = failure(
  'Redis at ADDRESS rejected the user name or password.',
  'In a URL, percent-encode / ? # @ % in either.',
);

/** Reading is fine, and every change is refused for this reason. */
const writesRefused = (reason: string, hint: string): ReturnType<typeof each> => ({
  ...FINE,
  write: failure(reason, hint),
  batch: bothFailed(reason, hint),
  health: failure(reason, hint),
});

testFaults('Redis refuses', [
  {
    name: 'whoever gives no password',
    start: () => breakRedis({args: ['--requirepass', 'S3cret-other'], password: 'S3cret-other'}),
    credentials: '',
    expected: failure(
      'Redis at ADDRESS requires a password.',
      'Give it in the URL: redis://user:password@host:port (best in TOKENGATE_REDIS_URL or a --redis-url-file).',
    ),
  },
  {
    name: 'a wrong password',
    start: () => breakRedis(),
    credentials: 'operator:S3cret-wrong@',
    expected: rejected,
  },
  {name: 'an unknown user', start: () => breakRedis(), credentials: 'nobody:S3cret@', expected: rejected},
  {
    name: 'a password where there is none',
    start: () => breakRedis(),
    credentials: ':S3cret@',
    expected: failure(
      'Redis at ADDRESS has no password set, but one was given.',
      'Is it the right server? Then leave the password out of the URL.',
    ),
  },
  {
    name: 'commands that the user may not run',
    start: () => breakRedis({rights: ['~*', '-@all']}),
    expected: each(failure(noPermission("'get' command"), PERMISSION_HINT), {
      write: failure(noPermission("'eval' command"), JOURNAL_HINT),
      batch: failure(noPermission("'scan' command"), PERMISSION_HINT),
      listing: failure(noPermission("'scan' command"), PERMISSION_HINT),
    }),
  },
  {
    name: 'scripts that the user may not run',
    start: () => breakRedis({rights: ['~*', '+@all', '-eval']}),
    expected: {
      ...FINE,
      write: failure(noPermission("'eval' command"), JOURNAL_HINT),
      batch: bothFailed(noPermission("'eval' command"), JOURNAL_HINT),
      health: {
        ...FINE.health,
        stderr: [
          `Warning: Every change fails, since the journal needs scripts (EVAL): ${noPermission("'eval' command")} ` +
            'With --no-journal you can only set budgets and reset sessions.',
        ],
      },
    },
  },
  {
    name: 'keys that the user may not touch',
    start: () => breakRedis({rights: ['~other:*', '+@all']}),
    expected: each(failure(noPermission('access to a key'), PERMISSION_HINT), {
      batch: bothFailed(noPermission('access to a key'), PERMISSION_HINT),
      listing: {
        stdout: ['session_id,budget,spent,remaining,percentage_used', 'a,,,,', 'b,,,,'],
        stderr: ['a', 'b'].flatMap((id) =>
          ['budget', 'spent'].map(
            (what) =>
              `Warning: The ${what} of session '${id}' is not readable: this Redis user lacks a permission on its key.`,
          ),
        ),
      },
    }),
  },
  {
    name: 'keys that the user may only read',
    start: () => breakRedis({rights: ['%R~*', '+@all']}),
    expected: writesRefused(noPermission('access to a key'), PERMISSION_HINT),
  },
  {
    name: 'a database that there is not',
    start: async () => {
      const broken = await breakRedis();
      return {...broken, url: `${broken.url}/99`};
    },
    expected: failure(
      'Redis at ADDRESS has no such database.',
      'See /N or ?db=N in the URL; most servers have 0 to 15.',
    ),
  },
  {
    name: 'a database that the user may not select',
    start: async () => {
      const broken = await breakRedis({rights: ['~*', '+@all', '-select']});
      return {...broken, url: `${broken.url}?db=1`};
    },
    expected: failure(noPermission("'select' command"), PERMISSION_HINT),
  },
  {
    name: 'everything while it loads its data',
    start: startLoading,
    expected: failure('Redis at ADDRESS is still loading its data.', 'Try again shortly.'),
  },
  {
    name: 'writes without memory, and lets a reset free some',
    start: () => breakRedis({spoil: ({client}) => client.configSet('maxmemory', '1')}),
    isFresh: true,
    expected: {
      ...writesRefused(
        'Redis at ADDRESS is out of memory (maxmemory) and refused the write.',
        'Free some, or raise maxmemory.',
      ),
      batch: FINE.batch,
    },
  },
  {
    name: 'writes that it cannot save',
    start: () => breakRedis({spoil: failToSave}),
    expected: writesRefused(
      'Redis at ADDRESS refuses writes: it cannot save to disk.',
      "See the server's log, and its disk.",
    ),
  },
  {
    name: 'writes without enough replicas',
    start: () => breakRedis({spoil: ({client}) => client.configSet('min-replicas-to-write', '1')}),
    expected: writesRefused(
      'Redis at ADDRESS refuses writes: not enough replicas.',
      'See min-replicas-to-write, and its replicas.',
    ),
  },
  {
    name: 'everything while it runs a script',
    start: () => breakRedis({spoil: runForEver, mend: endScript}),
    expected: failure('Redis at ADDRESS is busy running a script.', 'Try again; SCRIPT KILL ends a script that hangs.'),
  },
  {
    name: 'more clients',
    start: () => breakRedis({spoil: ({client}) => client.configSet('maxclients', '1')}),
    expected: failure('Redis at ADDRESS has no free client connections.', 'Try again shortly, or raise maxclients.'),
  },
  {
    name: 'clients of other machines (protected mode)',
    start: fake((socket) => {
      socket.end(
        '-DENIED Redis is running in protected mode because protected mode is enabled and no password is set\r\n',
      );
    }),
    expected: failure(
      'Redis at ADDRESS refused the connection (protected mode).',
      'It takes no remote clients without a password: set one, or connect from its own machine.',
    ),
  },
  {
    name: 'a command for a key of another type',
    start: () =>
      breakRedis({
        async spoil({client}) {
          await client.del('session:a:budget');
          await client.lPush('session:a:budget', 'x');
        },
      }),
    isFresh: true,
    expected: {
      read: {
        stdout: ['Session: a', 'Budget:    invalid', 'Spent:     $0.0000', 'Remaining: invalid', 'Used:      invalid'],
        stderr: [
          "Warning: The budget of session 'a' is of a wrong Redis type: the gateway answers its requests with HTTP 503.",
        ],
      },
      write: {
        stdout: ["✓ Budget set for 'a': $5.00"],
        stderr: ["Warning: The budget of session 'a' was of a wrong Redis type; it is replaced."],
        isChanged: true,
      },
      batch: {
        stdout: ["Session 'b' reset: budget $3.00"],
        stderr: [
          "Error: Session 'a': its budget is of a wrong Redis type. Nothing was removed.",
          'Error: Reset 1, failed 1.',
          'The gateway never writes that. Look at the key with redis-cli, and remove it there.',
        ],
        isChanged: true,
      },
      listing: {
        stdout: ['session_id,budget,spent,remaining,percentage_used', 'a,,0.00000075,,', 'b,3,0,3,0'],
        stderr: [
          "Warning: The budget of session 'a' is of a wrong Redis type: the gateway answers its requests with HTTP 503.",
        ],
      },
      health: FINE.health,
    },
  },
]);

/** A server that needs a millisecond for each of many keys. */
async function startLoading(): Promise<Broken> {
  const folder = await mkdtemp(join(tmpdir(), 'tokengate-loading-'));
  const full = await startRedis({folder});
  await full.client.eval("for i = 1, 60000 do redis.call('SET', 'key:' .. i, i) end");
  await full.client.sendCommand(['SAVE']);
  await full.stop();
  const delay = ['--key-load-delay', '1000', '--loading-process-events-interval-bytes', '1024'];
  const redis = await startRedis({folder, tcp: true, isLoading: true, args: [...operator('~*', '+@all'), ...delay]});
  return {
    url: redis.url,
    async stop() {
      await redis.stop();
      await rm(folder, {recursive: true});
    },
  };
}

/** A folder stands where the file would go. */
async function failToSave({client}: TestRedis): Promise<void> {
  await client.configSet('save', '3600 1');
  const {dir = ''} = await client.configGet('dir');
  await mkdir(join(dir, 'dump.rdb', 'x'), {recursive: true});
  await client.sendCommand(['BGSAVE']);
  await until(async () => (await client.info('persistence')).includes('rdb_last_bgsave_status:err'));
}

async function runForEver({client, url}: TestRedis): Promise<void> {
  await client.configSet('busy-reply-threshold', '10');
  const {hostname, port} = new URL(url);
  const socket = connect(Number(port), hostname, () => socket.write("EVAL 'while true do end' 0\r\n"));
  socket.on('error', () => {
    // The server is killed in the end.
  });
  await until(async () => isBusy(client));
}

/** The script goes on for a moment after it was told to end. */
async function endScript({client}: TestRedis): Promise<void> {
  await client.sendCommand(['SCRIPT', 'KILL']);
  await until(async () => !(await isBusy(client)));
}

async function isBusy(client: TestRedis['client']): Promise<boolean> {
  const answer = await client.sendCommand<string>(['PING']).catch((error: unknown) => String(error));
  return answer.includes('BUSY');
}
