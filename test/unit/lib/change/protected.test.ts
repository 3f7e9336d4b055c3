import {describe, expect, test} from 'vitest';

import {changeKnown, sendChanges} from '../../../../src/lib/change/apply.js';
import type {Change} from '../../../../src/lib/change/change.js';
import {STORE_ID, STORE_KEY} from '../../../../src/lib/gateway/keys.js';
import {addBudget, setBudget} from '../../../../src/lib/operations/budget.js';
import {resetChange} from '../../../../src/lib/operations/reset.js';
import {protectChange} from '../../../../src/lib/operations/store.js';
import {connect} from '../../../../src/lib/redis/connect.js';
import type {Redis} from '../../../../src/lib/redis/contract.js';
import {parseAmount} from '../../../../src/lib/values/money.js';
import {rawId} from '../../../../src/lib/values/session-id.js';
import {dumpKeyspace} from '../../../support/redis/keyspace.js';
import type {TestRedis} from '../../../support/redis/redis-server.js';
import {withCluster, type Nodes} from '../../../support/redis/with-cluster.js';
import {withRedis} from '../../../support/redis/with-redis.js';

const x = rawId('x');
const JOURNAL = {change: 'c0', command: 'test', actor: 'me', reason: '', version: '1', limit: 1000};
const amount = parseAmount('5');
const REFUSED = {code: 'CONFIRMATION_REQUIRED'};
const reset: Change<unknown> = resetChange({keepBudget: false});

describe('one server', () => {
  let server: TestRedis;
  let redis: Redis;
  let connectAs: (...rights: string[]) => Promise<Redis>;
  withRedis((own) => ({server, redis, connectAs} = own));
  /** A connection that has agreed to a name. */
  const agreeing = async (to: string | true | undefined): Promise<Redis> => {
    const other = await connect({url: server.url, consent: {to}});
    return other;
  };

  test('a store is asked for its name in the first flight', async () => {
    await server.client.set(STORE_KEY, 'prod');
    const asking = await connect({url: server.url, storeKey: STORE_KEY, name: 'p'});
    expect(asking.server).toMatchObject({store: 'prod', name: 'p'});
    asking.close();
    expect(redis.server.store).toBeUndefined();
  });

  test.each([
    ['a script', (on: Redis) => setBudget(on, x, amount, JOURNAL)],
    ['a script without a journal', (on: Redis) => setBudget(on, x, amount, undefined)],
    ['a plan', (on: Redis) => addBudget(on, x, amount.value, JOURNAL)],
  ])('%s refuses a change of a store that was protected after it was connected to', async (_, change) => {
    await server.client.set('session:x:budget', '1');
    await server.client.set(STORE_KEY, 'prod');
    const before = await dumpKeyspace(server);
    for (const to of [undefined, 'stagin', '']) {
      const on = await agreeing(to);
      await expect(change(on)).rejects.toMatchObject(REFUSED);
      expect(on.server.store).toBe('prod');
      on.close();
    }
    expect(await dumpKeyspace(server)).toEqual(before);
    for (const to of ['prod', true] as const) {
      const on = await agreeing(to);
      await change(on);
      on.close();
    }
  });

  test('without scripts too', async () => {
    await server.client.set('session:x:budget', '1');
    await server.client.set(STORE_KEY, 'prod');
    const plain = await connectAs('-eval');
    const [outcome] = await sendChanges(plain, [x], reset, undefined);
    expect(outcome).toMatchObject({state: 'failed', error: REFUSED});
    expect(await server.client.get('session:x:budget')).toBe('1');
    plain.consent.to = 'prod';
    const [done] = await sendChanges(plain, [x], reset, undefined);
    expect(done).toMatchObject({state: 'done'});
  });

  test('a user who may not read the name is not asked for it', async () => {
    await server.client.set(STORE_KEY, 'prod');
    const few = await connectAs('resetkeys', '~session:*', '~anomaly:*');
    await setBudget(few, x, amount, undefined);
    expect(await server.client.get('session:x:budget')).toBe('5');
  });

  test('what is no name refuses every change', async () => {
    await server.client.lPush(STORE_KEY, 'x');
    await expect(setBudget(redis, x, amount, JOURNAL)).rejects.toMatchObject({code: 'WRONG_TYPE'});
  });
});

describe('a cluster', () => {
  let nodes: Nodes;
  let redis: Redis;
  withCluster((own) => ({nodes, redis} = own));

  test('is protected as a whole, whichever node has the name', async () => {
    const options = {journal: JOURNAL, what: 'it was'};
    expect(await changeKnown(redis, STORE_ID, protectChange('prod'), options)).toEqual({before: null, after: 'prod'});
    for (const url of nodes.urls) {
      const asking = await connect({url, storeKey: STORE_KEY});
      expect(asking.server.store).toBe('prod');
      await expect(setBudget(asking, x, amount, JOURNAL)).rejects.toMatchObject(REFUSED);
      asking.consent.to = 'prod';
      await setBudget(asking, x, amount, JOURNAL);
      asking.close();
    }
    await expect(changeKnown(redis, STORE_ID, protectChange(null), options)).rejects.toMatchObject(REFUSED);
  });
});
