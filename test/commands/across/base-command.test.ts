import {Args, Flags} from '@oclif/core';
import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest';

import {BaseCommand} from '../../../src/cli/oclif/base-command.js';
import {journalFlags} from '../../../src/cli/oclif/flags.js';
import {watchInterrupts} from '../../../src/cli/terminal/interrupts.js';
import type {Journal} from '../../../src/lib/journal/entry.js';
import type {Redis, ServerInfo} from '../../../src/lib/redis/contract.js';
import {TokengateError} from '../../../src/lib/values/errors.js';
import type {RawId} from '../../../src/lib/values/session-id.js';
import {type AnsweringServer, type Answers, EMPTY_REDIS, startAnswering} from '../../support/impostors/resp-server.js';
import {type Output, runCommand} from '../../support/program/run.js';

const person = vi.hoisted(() => ({answer: true, questions: [] as string[]}));
vi.mock('../../../src/cli/terminal/prompts.js', async (load) => ({
  ...(await load<object>()),
  confirm: (question: string) => {
    person.questions.push(question);
    return Promise.resolve(person.answer);
  },
}));

/** What commands are given, in the open. */
type Tools = Pick<Probe, 'args' | 'flags'> & {
  connect(signal?: AbortSignal): Promise<Redis>;
  connectToChange(what: {verb: string; ids: readonly RawId[]}): Promise<Redis>;
  journal(reason?: string, undoes?: string): Journal | undefined;
  afterChange(...journals: (Journal | undefined)[]): void;
  confirm(question: string, server: ServerInfo): Promise<void>;
  refuseWithoutAnswer(): void;
  endWithFinding(): void;
  readonly connectionFlags: string[];
  readonly isTerminal: boolean;
  print(...lines: string[]): void;
  write(pieces: Iterable<string>): Promise<void>;
  warnAll(messages: readonly string[]): void;
};
let work: (tools: Tools) => unknown = () => undefined;

/** A command that does what the test says. */
class Probe extends BaseCommand<typeof Probe> {
  static override args = {word: Args.string({ignoreStdin: true}), more: Args.string({ignoreStdin: true})};
  static override flags = {
    count: Flags.string({char: 'c'}),
    loud: Flags.boolean({char: 'l'}),
    yes: Flags.boolean({char: 'y'}),
    ...journalFlags,
  };

  declare args: BaseCommand<typeof Probe>['args'];
  declare flags: BaseCommand<typeof Probe>['flags'];

  run(): Promise<unknown> {
    return Promise.resolve(work(this as unknown as Tools));
  }
}

let server: AnsweringServer;
const ends: (() => unknown)[] = [];
async function answering(answers: Answers = {}): Promise<AnsweringServer> {
  const started = await startAnswering({...EMPTY_REDIS, GET: null, ...answers});
  ends.push(() => started.stop());
  return started;
}
beforeEach(async () => {
  server = await answering();
  person.questions = [];
});
afterEach(async () => {
  work = () => undefined;
  vi.unstubAllEnvs();
  for (const end of ends.splice(0)) await end();
});

type Result = Output & {result: unknown};
const run = async (argv: string[], does: typeof work = () => undefined, url = server.url): Promise<Result> => {
  work = does;
  const output = await runCommand(Probe, argv, {url});
  return {...output, stderr: output.stderr.replaceAll(/127\.0\.0\.1:\d+/g, 'ADDRESS')};
};
/** As if these were terminals. */
function onTerminal(...streams: {isTTY: boolean}[]): void {
  for (const stream of streams) {
    const before = Object.getOwnPropertyDescriptor(stream, 'isTTY');
    Object.defineProperty(stream, 'isTTY', {value: true, configurable: true});
    ends.push(() => {
      if (before === undefined) Reflect.deleteProperty(stream, 'isTTY');
      else Object.defineProperty(stream, 'isTTY', before);
    });
  }
}

describe('what is typed', () => {
  test('is there when the command runs: flags that are not, too', async () => {
    const seen = async (...argv: string[]): Promise<unknown> => {
      const {result, stderr} = await run(argv, ({args, flags: {count, loud, yes, timeout}}) => [
        {...args},
        {count, loud, yes, timeout},
      ]);
      expect(stderr).toBe('');
      return result;
    };
    expect(await seen()).toEqual([{}, {count: undefined, loud: false, yes: false, timeout: undefined}]);
    expect(await seen('a', '--count=3', '-ly', '--timeout', '2', 'b')).toEqual([
      {word: 'a', more: 'b'},
      {count: '3', loud: true, yes: true, timeout: '2'},
    ]);
    expect(await seen('--count=--yes=1\n2', 'x--yes=-l=1', '--', '--yes=1')).toMatchObject([
      {word: 'x--yes=-l=1', more: '--yes=1'},
      {count: '--yes=1\n2', yes: false},
    ]);
    expect(await seen('--', '-l=1', '--toString')).toMatchObject([{word: '-l=1', more: '--toString'}, {}]);
  });

  test.each([
    [['--yes=false'], 'Flag --yes takes no value.'],
    [['--loud='], 'Flag --loud takes no value.'],
    [['--json=\n1'], 'Flag --json takes no value.'],
    [['-y=false'], 'Flag -y takes no value.'],
    [['a', 'b', '-l=1'], 'Flag -l takes no value.'],
    [['--toString'], "Unknown flag '--toString'."],
    [['--constructor=1'], "Unknown flag '--constructor'."],
    [['--other'], "Unknown flag '--other'."],
    [['-q=1'], "Unknown flag '-q=1'."],
    [['a', 'b', 'c'], 'Unexpected argument: c.'],
    [['--timeout', 'soon'], "'soon' is not a time limit in seconds."],
  ])('%j is refused before anything is done', async (argv, message) => {
    const does = vi.fn();
    const {code, stdout, stderr} = await run(argv, does);
    expect({code, stdout}).toEqual({code: 1, stdout: ''});
    expect(stderr.split('\n')[0]).toBe(`Error: ${message}`);
    expect(does).not.toHaveBeenCalled();
    expect(server.commands).toEqual([]);
  });

  test('is needed to show a command that finds the same server, without passwords', async () => {
    const flags = async (...argv: string[]): Promise<unknown> =>
      (await run(argv, ({connectionFlags}) => connectionFlags)).result;
    expect(await flags('--timeout', '3', '--yes')).toEqual([]);
    expect(await flags('--redis-url', 'redis://ops:p@ss@h/1', '--tls-ca', 'a b.pem', '--tls-server-name=x')).toEqual([
      ...['--redis-url', 'redis://USER:PASSWORD@h/1', '--tls-ca', 'a b.pem', '--tls-server-name', 'x'],
    ]);
    const url = 'redis+sentinel://o:p\n@h/main?sentinel_password=hunter2&db=1&sentinel_password=x';
    expect(await flags('--redis-url', url)).toEqual([
      '--redis-url',
      'redis+sentinel://USER:PASSWORD@h/main?sentinel_password=PASSWORD&db=1&sentinel_password=PASSWORD',
    ]);
  });
});

test('a hint names the server in its commands, as far as they ask one', async () => {
  const hint =
    'See: tokengate list-changes, tokengate check-store --fix, tokengate add-context NAME or tokengate --help';
  const fail = async (tools: Tools): Promise<never> => {
    await tools.connect();
    throw new TokengateError('NOPE', 'No.', {hint});
  };
  expect((await run([], fail)).stderr).toBe(`Error: No.\n${hint}\n`);
  const {stderr} = await run(['--redis-url', `${server.url}?db=0`], fail);
  const there = "--redis-url 'redis://ADDRESS?db=0'";
  expect(stderr).toBe(`Error: No.\n${hint.replaceAll(/list-changes|check-store/g, `$& ${there}`)}\n`);
});

describe('what is said', () => {
  test('goes to stdout line by line, safe to show, with its first mark coloured', async () => {
    const says = (tools: Tools): void => {
      tools.print('✓ done', '✗ not \u001b[31m', 'x ✓');
      tools.print();
    };
    expect((await run([], says)).stdout).toBe('✓ done\n✗ not \\x1b[31m\nx ✓\n');
    vi.stubEnv('FORCE_COLOR', '1');
    expect((await run([], says)).stdout).toBe('\u001b[32m✓\u001b[39m done\n\u001b[31m✗\u001b[39m not \\x1b[31m\nx ✓\n');
    const {stdout, result} = await run(['--json'], (tools) => {
      says(tools);
      return {budget: 1};
    });
    expect(stdout).toBe('{\n  "budget": 1\n}\n');
    expect(result).toEqual({budget: 1});
  });

  test('may be written as it is', async () => {
    expect((await run([], (tools) => tools.write(['\u001b[1m', 'x\n']))).stdout).toBe('\u001b[1mx\n');
  });

  test('as a warning goes to stderr, twenty of a kind', async () => {
    const warnings = (count: number): string[] => Array.from({length: count}, (_, n) => `no. ${n}`);
    const shown = async (count: number, ...argv: string[]): Promise<string[]> => {
      const {code, stdout, stderr} = await run(argv, (tools) => {
        tools.warnAll(warnings(count));
      });
      expect({code, stdout}).toEqual({code: 0, stdout: ''});
      return stderr.split('\n').slice(0, -1);
    };
    const all = (count: number): string[] => warnings(count).map((text) => `Warning: ${text}`);
    expect(await shown(0)).toEqual([]);
    expect(await shown(20)).toEqual(all(20));
    expect(await shown(21, '--json')).toEqual([...all(20), 'Warning: 1 more of this kind.']);
    expect(await shown(99)).toEqual([...all(20), 'Warning: 79 more of this kind.']);
  });

  test('as an error stands alone, as JSON under --json', async () => {
    const fails = (): never => {
      throw new Error('odd');
    };
    expect(await run([], fails)).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^Error: Unexpected error: odd\n/),
    });
    expect(JSON.parse((await run(['--json'], fails)).stderr)).toMatchObject({error: {code: 'INTERNAL_ERROR'}});
    expect((await run(['--other'])).stderr).toContain('See: tokengate probe --help\n');
  });

  test('as a finding is exit code 2, unless there is another', async () => {
    const answers =
      (before?: number) =>
      (tools: Tools): void => {
        process.exitCode = before;
        tools.endWithFinding();
      };
    expect(await run([], answers())).toMatchObject({code: 2, stderr: ''});
    // As an interrupt leaves it.
    expect(await run([], answers(130))).toMatchObject({code: 130, stderr: ''});
  });

  test('depends on where it goes to', async () => {
    const isTerminal = (tools: Tools): boolean => tools.isTerminal;
    onTerminal(process.stdout);
    expect((await run([], isTerminal)).result).toBe(true);
    for (const end of ends.splice(0)) await end();
    expect((await run([], isTerminal)).result).not.toBe(true);
  });
});

describe('a connection', () => {
  const replica = (): Promise<AnsweringServer> =>
    answering({HELLO: ['mode', 'standalone', 'role', 'replica'], ROLE: ['slave', '10.0.0.1', 6379, 'connected', 0]});

  test('is there when it is wanted, and ended after the command, whatever comes', async () => {
    await run([]);
    expect(server.commands).toEqual([]);
    const {result, stderr} = await run([], async (tools) => (await tools.connect()).send(['DBSIZE']));
    expect({result, stderr}).toEqual({result: 0, stderr: ''});
    expect(server.commands).toEqual(['HELLO 2', 'DBSIZE']);
    await expect.poll(server.open).toBe(0);
    const {code} = await run([], async (tools) => {
      await tools.connect();
      throw new Error('odd');
    });
    expect(code).toBe(1);
    await expect.poll(server.open).toBe(0);
    expect((await run([], (tools) => tools.connect(AbortSignal.abort()))).code).toBe(130);
  });

  test('has what flags say of it', async () => {
    const silent = await answering({DBSIZE: undefined});
    const {stderr} = await run(['--timeout', '0.1', '--redis-url', silent.url], async (tools) =>
      (await tools.connect()).send(['DBSIZE']),
    );
    expect(stderr).toContain('Error: Redis at ADDRESS did not answer within 0.1 s.\n');
  });

  test('to a replica is warned of when all is read, and refused for a change', async () => {
    const {url} = await replica();
    const stale = 'Warning: Redis at ADDRESS is a replica: what it says may be out of date.\n';
    const connects = (tools: Tools): Promise<unknown> => tools.connect().then(() => undefined);
    expect(await run([], connects, url)).toMatchObject({code: 0, stderr: stale});
    const typed = url.replace('://', '://ops:hunter2@');
    const {stderr} = await run(['--redis-url', typed], connects);
    expect(stderr).toBe(
      `Warning: Other users of this machine can see the password in --redis-url. Give the URL in TOKENGATE_REDIS_URL or in a --redis-url-file.\n${stale}`,
    );
    const failed = await run([], (tools) => tools.connect().then(() => Promise.reject(new Error('odd'))), url);
    expect(failed.stderr).not.toContain('Warning');
    const refused = await run([], (tools) => tools.connectToChange(CHANGE), url);
    expect(refused).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^Error: Redis at ADDRESS is a read-only replica\.\n/),
    });
    expect(await run([], (tools) => tools.connectToChange(CHANGE).then(() => 'connected'))).toMatchObject({
      result: 'connected',
      stderr: '',
    });
  });

  test('for a change is ended by an interrupt, and not before', async () => {
    const others = process.listeners('SIGINT');
    watchInterrupts();
    const interrupt = process.listeners('SIGINT').find((listener) => !others.includes(listener));
    ends.push(() => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) {
        const added = process.listeners(signal).at(-1);
        if (added !== undefined) process.off(signal, added);
      }
    });
    const slow = await answering({
      DBSIZE() {
        interrupt?.('SIGINT');
        return undefined;
      },
    });
    const {code, stderr} = await run(
      [],
      async (tools) => (await tools.connectToChange(CHANGE)).send(['DBSIZE']),
      slow.url,
    );
    expect({code, stderr}).toEqual({code: 130, stderr: 'Error: Interrupted.\n'});
  });

  test('to a cluster tells its doubts at the end, each once, of every connection', async () => {
    const node: AnsweringServer = await answering({
      HELLO: ['mode', 'cluster'],
      CLUSTER: () => [[0, 16_383, ['127.0.0.1', node.port, 'id']]],
    });
    const doubtful = async (tools: Tools): Promise<void> => {
      for (const doubt of ['one', 'two', 'one']) {
        const redis = await tools.connect();
        redis.doubts.add(`It is not sure: ${doubt}.`);
        redis.close();
      }
    };
    expect(await run([], doubtful, node.url)).toMatchObject({
      code: 0,
      stderr: 'Warning: It is not sure: one.\nWarning: It is not sure: two.\n',
    });
    const failing = (tools: Tools): Promise<unknown> => doubtful(tools).then(() => Promise.reject(new Error('odd')));
    expect((await run([], failing, node.url)).stderr).not.toContain('Warning');
  });
});

const CHANGE = {verb: 'Change', ids: []};
const SERVER: ServerInfo = {address: 'h', database: 0, role: 'primary', version: undefined, primary: undefined};

describe('a question', () => {
  const asks = (tools: Tools): Promise<void> => tools.confirm('Really?', SERVER);
  const refused = {
    code: 1,
    stderr: expect.stringMatching(/^Error: This needs a confirmation, and there is no terminal to ask on\.\n/),
  };

  test('is asked on a terminal only', async () => {
    expect(await run([], asks)).toMatchObject(refused);
    onTerminal(process.stdin, process.stderr);
    expect((await run(['--json'], asks)).stderr).toContain('"CONFIRMATION_REQUIRED"');
    expect(person.questions).toEqual([]);
    person.answer = true;
    expect(await run([], asks)).toMatchObject({code: 0, stderr: ''});
    expect(person.questions).toEqual(['Really?']);
    person.answer = false;
    // `run` takes back what was stubbed when it ends.
    vi.stubEnv('NO_COLOR', '1');
    expect(await run([], asks)).toMatchObject({code: 1, stderr: 'Error: Cancelled: nothing was changed.\n'});
    const code = (tools: Tools): Promise<unknown> =>
      asks(tools).catch((error: unknown) => (error as TokengateError).code);
    expect((await run([], code)).result).toBe('DECLINED');
  });

  test('is not asked with --yes', async () => {
    expect(await run(['--yes'], asks)).toMatchObject({code: 0, stderr: ''});
    expect(person.questions).toEqual([]);
  });

  test('that comes later is refused where it cannot be asked', async () => {
    const looks = (tools: Tools): void => {
      tools.refuseWithoutAnswer();
    };
    expect(await run([], looks)).toMatchObject(refused);
    expect(await run(['--yes'], looks)).toMatchObject({code: 0});
    onTerminal(process.stdin, process.stderr);
    expect(await run([], looks)).toMatchObject({code: 0});
    expect((await run(['--json'], looks)).code).toBe(1);
    expect((await run(['--json', '--yes'], looks)).code).toBe(0);
  });
});

describe('a change', () => {
  test('is recorded as that of the command, unless that is not wanted', async () => {
    const records = async (...argv: string[]): Promise<unknown> =>
      (await run(argv, (tools) => tools.journal('Sold', 'k7m2q9x4tv'))).result;
    expect(await records()).toMatchObject({
      ...{command: 'probe', version: expect.stringMatching(/^\d+\./), undoes: 'k7m2q9x4tv', reason: 'Sold'},
    });
    expect(await records('--note', 'A note')).toMatchObject({reason: 'A note'});
    expect(await records('--no-journal')).toBeUndefined();
  });

  test('is told how to undo to a person', async () => {
    const hints = (tools: Tools): string => {
      const journal = tools.journal();
      tools.afterChange(journal);
      return journal?.change ?? 'none';
    };
    expect((await run([], hints)).stderr).toBe('');
    onTerminal(process.stderr);
    const {result, stderr} = await run([], hints);
    expect(stderr).toBe(`Undo: tokengate undo-change ${String(result)}\n`);
    const several = await run([], (tools) => {
      const journals = [tools.journal(), undefined, tools.journal()];
      tools.afterChange(...journals);
      return journals.flatMap((journal) => journal?.change ?? []).join(' ');
    });
    expect(several.stderr).toBe(`Undo: tokengate undo-change ${String(several.result)}\n`);
    const elsewhere = await run(['--redis-url', 'redis://ops:p@ss@prod/1', '--tls-ca=a b.pem'], hints);
    expect(elsewhere.stderr).toBe(
      `Undo: tokengate undo-change --redis-url redis://USER:PASSWORD@prod/1 --tls-ca 'a b.pem' ${String(elsewhere.result)}\n`,
    );
    expect((await run(['--json'], hints)).stderr).toBe('');
    expect((await run(['--no-journal'], hints)).stderr).toBe('');
    const {stderr: there} = await run(['--no-journal'], async (tools) => {
      await tools.connectToChange(CHANGE);
      tools.afterChange(undefined);
    });
    expect(there).toMatch(/^Server: \S+ db 0\n$/);
  });
});
