import {afterEach, describe, expect, test} from 'vitest';

import {changeKnown, changeOne, sendChanges} from '../../../../src/lib/change/apply.js';
import type {PlannedChange, ScriptedChange} from '../../../../src/lib/change/change.js';
import {lookAt} from '../../../../src/lib/change/look.js';
import {lookAgain} from '../../../../src/lib/change/second-look.js';
import {BUDGET_KEYS, SPENT_KEYS} from '../../../../src/lib/gateway/keys.js';
import type {Held} from '../../../../src/lib/gateway/stored-value.js';
import {inText, type Journal, type ChangePart, readJournal} from '../../../../src/lib/journal/entry.js';
import {resetChange} from '../../../../src/lib/operations/reset.js';
import {connect, type ConnectOptions} from '../../../../src/lib/redis/connect.js';
import {ErrorReply, NoReply, type Redis} from '../../../../src/lib/redis/contract.js';
import {TokengateError} from '../../../../src/lib/values/errors.js';
import {type RawId, rawId} from '../../../../src/lib/values/session-id.js';
import {type Proxy, startProxy, type Verdict} from '../../../support/impostors/proxy.js';
import {scriptsOf} from '../../../support/redis/lua.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withRedis} from '../../../support/redis/with-redis.js';

const x = rawId('x');
const y = rawId('y');
const BUDGET = 'session:x:budget';
const JOURNAL: Journal = {change: 'c0', command: 'test', actor: 'me', reason: '', version: '1', limit: 1000};

let server: TestRedis;
let redis: Redis;
let connectAs: (...rights: string[]) => Promise<Redis>;
withRedis((own) => ({server, redis, connectAs} = own));
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** Connects through a proxy that breaks what the test chooses. */
async function through(
  judge: (request: string) => Verdict,
  options: Partial<ConnectOptions> = {},
): Promise<{broken: Redis; proxy: Proxy}> {
  const proxy = await startProxy(server, judge);
  const broken = await connect({url: proxy.url, ...options});
  closing.push(
    () => {
      broken.close();
    },
    () => proxy.stop(),
  );
  return {broken, proxy};
}

async function entries(): Promise<ChangePart[]> {
  const all: ChangePart[] = [];
  for await (const {parts} of readJournal(redis)) all.push(...parts);
  return all;
}

const preview = (id: RawId, [budget]: readonly Held[]) =>
  ({id, state: 'done', now: `budget ${inWords(budget)}`}) as const;
const inWords = (held: Held | undefined): string =>
  held === true ? 'odd' : held === false ? 'null' : String(inText(held));

/** Doubles the text of a budget; its result is what was there. */
const doubling: ScriptedChange<unknown> = {
  shapes: [BUDGET_KEYS, SPENT_KEYS],
  scripts: scriptsOf(
    "if not old[1] then return 'none' end if old[1] == true then return 'odd' end return 'done', {old[1] .. old[1]}",
  ),
  args: [],
  tellsOld: true,
  read: (id, word, [budget]) =>
    word === 'odd'
      ? {id, state: 'failed', error: new TokengateError('ODD', 'it is odd.', {hint: 'Mend it.'})}
      : word === 'none'
        ? {id, state: 'not_found'}
        : {id, state: 'done', result: budget},
  lookAt: [BUDGET_KEYS],
  preview,
};

/** The same, decided here. */
const planned = (meanwhile: () => unknown = () => undefined): PlannedChange<unknown> => ({
  shapes: [BUDGET_KEYS, SPENT_KEYS],
  plan(id, [budget]) {
    meanwhile();
    if (budget === false) return {id, state: 'unchanged', result: 'none'};
    if (budget === true) return {id, state: 'failed', error: new TokengateError('ODD', 'it is odd.')};
    return {state: 'write', expected: [budget ?? null, null], next: [`${budget}${budget}`, null], result: budget};
  },
  lookAt: [BUDGET_KEYS],
  preview,
});

describe.each([
  ['decided by a script', doubling, {state: 'not_found'}],
  ['decided here', planned(), {state: 'unchanged', result: 'none'}],
])('changes %s', (_, change, none) => {
  test.each([undefined, JOURNAL])('of many sessions come in the order given, each as it was', async (journal) => {
    const ids = Array.from({length: 223}, (_, index) => rawId(`s${index}`));
    for (const [index, id] of ids.entries()) {
      if (index % 3 === 0) await server.client.set(`session:${id}:budget`, `${index}`);
      if (index % 3 === 1) await server.client.lPush(`session:${id}:budget`, `${index}`);
    }
    const outcomes = await sendChanges(redis, ids, change, journal);
    expect(outcomes).toMatchObject(
      ids.map((id, index) => {
        if (index % 3 === 0) return {id, state: 'done', result: `${index}`};
        return index % 3 === 1 ? {id, state: 'failed', error: {code: 'ODD'}} : {id, ...none};
      }),
    );
    expect(await server.client.get('session:s120:budget')).toBe('120120');
    const changed = (await entries()).flatMap(({records}) => records.map(({id}) => id)).sort();
    expect(changed).toEqual(journal === undefined ? [] : ids.filter((_, index) => index % 3 === 0).sort());
  });

  test('of up to a hundred sessions share an entry of the journal', async () => {
    const ids = Array.from({length: 201}, (_, index) => rawId(`s${index}`));
    await server.client.mSet(ids.map((id): [string, string] => [`session:${id}:budget`, '1']));
    await sendChanges(redis, ids, change, JOURNAL);
    expect((await entries()).map(({records}) => records.length)).toEqual([1, 100, 100]);
  });

  test('of no session are none', async () => {
    expect(await sendChanges(redis, [], change, JOURNAL)).toEqual([]);
  });

  test('that get no answer say so, for each session', async () => {
    await server.client.mSet({'session:x:budget': '1', 'session:y:budget': '2'});
    const {broken} = await through((request) => (request.includes('EVAL') ? 'lose-reply' : 'pass'));
    const outcomes = await sendChanges(broken, [x, y], change, undefined);
    expect(outcomes).toMatchObject([{isSent: true}, {isSent: true}]);
    for (const outcome of outcomes) expect(outcome).toBeInstanceOf(NoReply);
  });
});

describe('a change that is decided here', () => {
  test('is decided again when something else stands there by then, for that session alone', async () => {
    await server.client.mSet({'session:x:budget': '1', 'session:y:budget': '2'});
    let count = 0;
    const change = planned(() => count++);
    const racing: Redis = {
      ...redis,
      async pipeline(commands) {
        const replies = await redis.pipeline(commands);
        if (count === 0) await server.client.set(BUDGET, '7');
        return replies;
      },
    };
    expect(await sendChanges(racing, [x, y], change, undefined)).toMatchObject([{result: '7'}, {result: '2'}]);
    expect(await server.client.mGet([BUDGET, 'session:y:budget'])).toEqual(['77', '22']);
    expect(count).toBe(3);
  });

  test('writes bytes, whatever they say', async () => {
    await server.client.set(BUDGET, 'ü');
    await sendChanges(redis, [x], planned(), undefined);
    expect(await server.client.get(BUDGET)).toBe('üü');
  });

  test('does not mind what changes elsewhere', async () => {
    await server.client.set(BUDGET, '1');
    let count = 0;
    const change = planned(() => count++);
    const racing: Redis = {
      ...redis,
      async pipelineBytes(commands) {
        const replies = await redis.pipelineBytes(commands);
        await server.client.incr('session:x:spent');
        return replies;
      },
    };
    expect(await sendChanges(racing, [x], change, undefined)).toMatchObject([{state: 'done', result: '1'}]);
    expect(count).toBe(1);
  });

  test('fails after a hundred tries of which each was too late', async () => {
    await server.client.set(BUDGET, '1');
    const racing: Redis = {
      ...redis,
      async pipelineBytes(commands) {
        const replies = await redis.pipelineBytes(commands);
        await server.client.incr(BUDGET);
        return replies;
      },
    };
    expect(await sendChanges(racing, [x], planned(), undefined)).toMatchObject([
      {id: 'x', state: 'failed', error: {code: 'CONTENDED'}},
    ]);
    expect(await server.client.get(BUDGET)).toBe('101');
  });

  test('is not begun when nothing can be read', async () => {
    const {broken} = await through((request) => (request.includes('GET') ? 'lose-reply' : 'pass'));
    expect(await sendChanges(broken, [x], planned(), undefined)).toMatchObject([
      {error: {code: 'REDIS_CONNECTION_LOST'}},
    ]);
  });
});

test('a long text that several sessions share is in the journal once, and is read back in each', async () => {
  const long = '7'.repeat(80);
  await server.client.mSet({[BUDGET]: long, 'session:y:budget': long});
  expect(await sendChanges(redis, [x, y], doubling, JOURNAL)).toMatchObject([{result: long}, {result: long}]);
  const [entry] = (await server.client.xRange('tokengate:journal', '-', '+')) ?? [];
  expect(entry?.message['sessions']).toBe('["x",0,1,false,true,"y",0,1,false,true]');
  expect(entry?.message['texts']).toBe(JSON.stringify([long, long + long]));
  const budget = {before: {text: long}, after: {text: long + long}};
  expect(await entries()).toMatchObject([{records: [{keys: [budget, {}]}, {keys: [budget, {}]}]}]);
  await server.client.xAdd('tokengate:journal', '*', {...entry?.message, texts: '[]'});
  expect(await entries()).toHaveLength(1);
});

describe('the end of a key is in the journal', () => {
  const recordedEnds = async (changer: Redis): Promise<number[]> => {
    await sendChanges(changer, [x], resetChange({keepBudget: false}), JOURNAL);
    const [record] = (await entries()).flatMap(({records}) => records);
    return record!.keys.map(({before}) => (before === false ? 0 : before.ttl));
  };

  test.each<[string, string[]]>([
    ['where it is the only one that ends', []],
    ['for a user who may not ask whether any ends', ['-info']],
  ])('%s', async (_, rights) => {
    await server.client.mSet({[BUDGET]: '1', 'session:x:spent': '0.5'});
    await server.client.pExpire('session:x:spent', 60_000);
    const [budget, spent] = await recordedEnds(await connectAs(...rights));
    expect(budget).toBe(-1);
    expect(spent).toBeGreaterThan(0);
    expect(spent).toBeLessThanOrEqual(60_000);
  });

  test('and no end where none ends', async () => {
    await server.client.mSet({[BUDGET]: '1', 'session:x:spent': '0.5'});
    expect((await recordedEnds(redis)).slice(0, 2)).toEqual([-1, -1]);
  });
});

describe('for a user who may not run scripts', () => {
  const asPlain = async (): Promise<Redis> => {
    await server.client.aclSetUser('plain', ['reset', 'on', '>p', '~*', '+@all', '-eval', '-evalsha']);
    const plain = await connect({url: server.url.replace('unix://', 'unix://plain:p@')});
    closing.push(() => {
      plain.close();
    });
    return plain;
  };

  test('a change that can do without is done, each session in one step', async () => {
    await server.client.mSet({'session:x:budget': '1', 'session:z:spent': '3'});
    await server.client.lPush('session:w:budget', 'a');
    const ids = ['x', 'y', 'z', 'w'].map(rawId);
    expect(await sendChanges(await asPlain(), ids, resetChange({keepBudget: false}), undefined)).toMatchObject([
      {id: 'x', state: 'done', result: {budget: '1', spent: null}},
      {id: 'y', state: 'not_found'},
      {id: 'z', state: 'done', result: {budget: null, spent: '3'}},
      {id: 'w', state: 'failed', error: {code: 'RESET_INCOMPLETE'}},
    ]);
  });

  test('a change with a record is not done without one, and the way out is told', async () => {
    await server.client.set(BUDGET, '1');
    expect(await sendChanges(await asPlain(), [x], resetChange({keepBudget: false}), JOURNAL)).toMatchObject([
      {id: 'x', state: 'failed', error: {code: 'REDIS_NO_PERMISSION', hint: expect.stringContaining('--no-journal')}},
    ]);
    expect(await server.client.get(BUDGET)).toBe('1');
  });

  test('a change is done without one only for that reason', async () => {
    await server.client.set(BUDGET, '1');
    const broken = {...resetChange({keepBudget: false}), scripts: {change: 'return ('}};
    expect(await sendChanges(redis, [x], broken, undefined)).toMatchObject([
      {id: 'x', state: 'failed', error: {code: 'REDIS_ERROR'}},
    ]);
    expect(await server.client.get(BUDGET)).toBe('1');
  });

  test('a change is done with SET where only MSET is refused, and not at all where both are', async () => {
    await server.client.mSet({[BUDGET]: '1', 'session:y:budget': '2'});
    const outcomes = await sendChanges(await connectAs('-mset'), [x, y], doubling, JOURNAL);
    expect(outcomes).toMatchObject([{state: 'done'}, {state: 'done'}]);
    const after = await server.client.mGet([BUDGET, 'session:y:budget']);
    expect(after).toEqual(['11', '22']);
    const refused = await sendChanges(await connectAs('-mset', '-set'), [x, y], doubling, JOURNAL);
    expect(refused).toMatchObject([{state: 'failed'}, {state: 'failed'}]);
    expect(await server.client.mGet([BUDGET, 'session:y:budget'])).toEqual(after);
    expect(await entries()).toHaveLength(1);
  });

  test('a change that needs one fails', async () => {
    const [outcome] = await sendChanges(await asPlain(), [x], doubling, undefined);
    expect(outcome).toMatchObject({id: 'x', state: 'failed', error: {code: 'REDIS_NO_PERMISSION'}});
    expect(outcome).not.toMatchObject({error: {hint: expect.stringContaining('--no-journal')}});
  });
});

describe('a change of one session', () => {
  const options = {journal: undefined, what: 'it was done'};

  test('gives its result, or throws', async () => {
    await expect(changeKnown(redis, x, doubling, options)).rejects.toMatchObject({
      code: 'SESSION_NOT_FOUND',
      message: "Session 'x' not found.",
    });
    await server.client.set(BUDGET, '1');
    expect(await changeKnown(redis, x, doubling, options)).toBe('1');
    await server.client.del(BUDGET);
    await server.client.lPush(BUDGET, 'a');
    await expect(changeKnown(redis, x, doubling, options)).rejects.toMatchObject({
      code: 'ODD',
      message: "Session 'x': it is odd.",
      hint: 'Mend it.',
    });
  });

  test('that Redis refuses has the words of Redis alone', async () => {
    await server.client.set('tokengate:journal', 'x');
    await server.client.set(BUDGET, '1');
    await expect(changeKnown(redis, x, doubling, {...options, journal: JOURNAL})).rejects.toMatchObject({
      code: 'JOURNAL_REFUSED',
      message: expect.stringMatching(/^The journal of changes cannot be written: /),
      cause: expect.any(ErrorReply),
    });
  });

  test.each<[string, Verdict, Journal | undefined, string]>([
    ['done', 'lose-reply', undefined, 'Before: budget 1. Now: budget 11.'],
    ['not done', 'swallow', undefined, 'Before: budget 1. Now: budget 1.'],
    ['done', 'lose-reply', JOURNAL, 'Before: budget 1. Now: budget 11. The journal has it, as change c0: it was done.'],
    ['not done', 'swallow', JOURNAL, 'Before: budget 1. Now: budget 1. The journal has no such change.'],
  ])('that was %s and got no answer is looked at once more', async (_, verdict, journal, hint) => {
    await server.client.set(BUDGET, '1');
    const {broken} = await through((request) => (request.includes('EVAL') ? verdict : 'pass'), {timeoutMs: 1000});
    await expect(changeOne(broken, x, doubling, {...options, journal})).rejects.toMatchObject({
      code: 'OUTCOME_UNKNOWN',
      message: expect.stringMatching(/^.+\. It is unknown whether it was done\.$/),
      hint,
      cause: {code: verdict === 'swallow' ? 'REDIS_TIMEOUT' : 'REDIS_CONNECTION_LOST'},
    });
  });

  test.each([
    ['of this session', {'session:x:budget': 'ü'}, 'Before: budget ü. Now: budget üü. '],
    ['of a session whose spending is of a wrong type', {'session:x:budget': '1'}, 'Before: budget 1. Now: budget 11. '],
  ])('is told by the journal as it was, %s', async (title, keys, hint) => {
    await server.client.mSet(keys);
    if (title.includes('wrong')) await server.client.lPush('session:x:spent', 'a');
    // Another change of the same session, and one of another session.
    await sendChanges(redis, [y], doubling, {...JOURNAL, change: 'c1'});
    const {broken} = await through((request) => (request.includes('EVAL') ? 'lose-reply' : 'pass'));
    await expect(changeOne(broken, x, doubling, {...options, journal: JOURNAL})).rejects.toMatchObject({
      hint: expect.stringContaining(hint),
    });
  });

  test('is not taken for a like one that the journal has', async () => {
    await server.client.set(BUDGET, '1');
    await sendChanges(redis, [x], doubling, {...JOURNAL, change: 'c1'});
    const {broken} = await through((request) => (request.includes('EVAL') ? 'swallow' : 'pass'), {timeoutMs: 1000});
    await expect(changeOne(broken, x, doubling, {...options, journal: JOURNAL})).rejects.toMatchObject({
      hint: 'Before: budget 11. Now: budget 11. The journal has no such change.',
    });
  });

  test.each(['REDIS_CONNECTION_LOST', 'REDIS_TIMEOUT', 'REDIS_PROTOCOL', 'REDIS_ERROR', 'INTERRUPTED'])(
    'is in doubt after %s',
    async (code) => {
      const reply = new NoReply(new TokengateError(code, 'It ended.'));
      const broken: Redis = {...redis, units: () => Promise.resolve([reply])};
      await expect(changeOne(broken, x, doubling, options)).rejects.toMatchObject({
        code: code === 'INTERRUPTED' ? code : 'OUTCOME_UNKNOWN',
        message: 'It ended. It is unknown whether it was done.',
      });
    },
  );

  test.each([
    [undefined, /^Before: budget 1\. A second look failed: The server at [\d.:]+ closed the connection at once\.$/],
    [
      JOURNAL,
      /^Before: budget 1\. A second look failed: .+\. If it was done, the journal has the old values: change c0\.$/,
    ],
  ])('says when the second look fails, too', async (journal, hint) => {
    await server.client.set(BUDGET, '1');
    let isBroken = false;
    const {broken} = await through((request) => {
      isBroken ||= request.includes('EVAL');
      return isBroken ? 'lose-reply' : 'pass';
    });
    await expect(changeOne(broken, x, doubling, {...options, journal})).rejects.toMatchObject({
      code: 'OUTCOME_UNKNOWN',
      hint: expect.stringMatching(hint),
    });
  });

  test('that is interrupted stays interrupted, and is looked at all the same', async () => {
    await server.client.set(BUDGET, '1');
    const stop = new AbortController();
    const {broken, proxy} = await through((request) => (request.includes('EVAL') ? 'swallow' : 'pass'), {
      signal: stop.signal,
    });
    const changing = changeOne(broken, x, doubling, options);
    void proxy.struck.then(() => {
      stop.abort();
    });
    await expect(changing).rejects.toMatchObject({
      code: 'INTERRUPTED',
      message: expect.stringContaining('It is unknown whether it was done.'),
      hint: 'Before: budget 1. Now: budget 1.',
    });
  });

  test.each([
    ['was never sent', new NoReply(new TokengateError('REDIS_CONNECTION_LOST', 'Lost.'), false)],
    ['the server refused for good', new NoReply(new TokengateError('REDIS_LOADING', 'Loading.'))],
  ])('that %s is not in doubt', async (_, reply) => {
    const unsent: Redis = {...redis, units: () => Promise.resolve([reply])};
    await expect(changeOne(unsent, x, doubling, options)).rejects.toBe(reply.error);
  });
});

describe('a second look', () => {
  const both: ScriptedChange<unknown> = {
    ...doubling,
    lookAt: [SPENT_KEYS, BUDGET_KEYS],
    preview: (id, values) => {
      const [spent, budget] = values.map(inWords);
      return {id, state: 'done', now: `${spent} of ${budget}`};
    },
  };
  const write = (change: string, sessions: unknown[], more: Record<string, string> = {}): Promise<string> =>
    server.client.xAdd('tokengate:journal', '*', {
      ...{change, command: 'test', actor: 'me', reason: '', version: '1', keys: 'budget'},
      sessions: JSON.stringify(sessions),
      ...more,
    });

  test('tells what the journal says was there, of each kind, and what it says nothing of as it is', async () => {
    await server.client.set('session:x:spent', '7');
    await write('c0', ['x', '1', '2', 'y', false, '2', 'z', true, '2']);
    await write('c1', ['x', '9', '8']);
    const done = 'The journal has it, as change c0: it was done.';
    expect(await lookAgain(redis, [x, y, rawId('z'), rawId('w')], both, JOURNAL)).toEqual([
      `Before: 7 of 1. Now: 7 of null. ${done}`,
      `Before: null of null. Now: null of null. ${done}`,
      `Before: null of odd. Now: null of null. ${done}`,
      'Before: null of null. Now: null of null. The journal has no such change.',
    ]);
  });

  test('tells done from begun', async () => {
    await write('c0', ['x', '1', '2']);
    await write('c0', ['y', '1', '2'], {state: 'begun'});
    expect(await lookAgain(redis, [x, y], both, JOURNAL)).toEqual([
      'Before: null of 1. Now: null of null. The journal has it, as change c0: it was done.',
      'Before: null of 1. Now: null of null. The journal has change c0 as begun.',
    ]);
  });

  test('closes what it has opened, and lets a bug fly', async () => {
    let open = 0;
    const counted: Redis = {
      ...redis,
      async reopen() {
        const fresh = await redis.reopen();
        open++;
        return {
          ...fresh,
          close() {
            open--;
            fresh.close();
          },
        };
      },
    };
    expect(await lookAgain(counted, [x], both, undefined)).toEqual(['Now: null of null.']);
    const bug = new RangeError('a bug');
    const failing = {
      ...both,
      preview: () => {
        throw bug;
      },
    };
    await expect(lookAgain(counted, [x], failing, undefined)).rejects.toBe(bug);
    expect(open).toBe(0);
  });
});

test('what changes would do is looked up for each session in its place', async () => {
  await server.client.set('session:y:budget', '2');
  await server.client.set('session:y:spent', '1');
  const change = {
    ...doubling,
    lookAt: [SPENT_KEYS, BUDGET_KEYS],
    preview: (id: RawId, [spent = false, budget = false]: readonly Held[]) => ({
      ...preview(id, [budget]),
      now: `${inWords(spent)} of ${inWords(budget)}`,
    }),
  };
  expect(await lookAt(redis, [x, y], change)).toEqual([
    {id: 'x', state: 'done', now: 'null of null'},
    {id: 'y', state: 'done', now: '1 of 2'},
  ]);
});

describe('a user who may not touch the keys of some sessions', () => {
  test('changes the others, and is told what would become of each', async () => {
    await server.client.mSet({'session:a1:budget': '1', 'session:b1:budget': '2', 'session:a2:budget': '3'});
    const user = await connectAs('resetkeys', '~session:a*', '~tokengate:*');
    const ids = ['a1', 'b1', 'a2'].map(rawId);
    const reset = resetChange({keepBudget: false});
    const refused = {id: 'b1', state: 'failed', error: {code: 'REDIS_NO_PERMISSION'}};
    expect(await lookAt(user, ids, reset)).toMatchObject([
      {id: 'a1', state: 'done', now: 'budget $1.00, spent none'},
      {...refused, now: 'not readable'},
      {id: 'a2', state: 'done', now: 'budget $3.00, spent none'},
    ]);
    expect(await sendChanges(user, ids, reset, JOURNAL)).toMatchObject([
      {id: 'a1', state: 'done', result: {budget: '1'}},
      refused,
      {id: 'a2', state: 'done', result: {budget: '3'}},
    ]);
    expect(await server.client.keys('session:*')).toEqual(['session:b1:budget']);
    const records = (await entries()).flatMap((part) => part.records);
    expect(records.map(({id}) => id).sort()).toEqual(['a1', 'a2']);
  });

  test('is asked for each alone no more often than once', async () => {
    const user = await connectAs('resetkeys', '~session:a*');
    const sent: number[] = [];
    const counting: Redis = {...user, units: (units) => (sent.push(units.length), user.units(units))};
    const outcomes = await sendChanges(counting, ['b1', 'b2'].map(rawId), resetChange({keepBudget: false}), JOURNAL);
    expect(outcomes).toMatchObject([{state: 'failed'}, {state: 'failed'}]);
    expect(sent).toEqual([1, 2]);
  });
});
