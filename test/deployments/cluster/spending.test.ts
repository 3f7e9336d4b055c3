import fc from 'fast-check';
import {expect} from 'vitest';

import type {Redis} from '../../../src/lib/redis/contract.js';
import {recordSpending} from '../../../src/lib/spending/record.js';
import {nameOf} from '../../../src/lib/values/session-id.js';
import {fuzz} from '../../support/fuzz.js';
import {type Nodes, withCluster} from '../../support/redis/with-cluster.js';
import {events, World} from '../../support/spending/world.js';

let nodes: Nodes;
let redis: Redis;
withCluster((own) => ({nodes, redis} = own));

const record = (on: Redis) => recordSpending(on, {keepSeconds: 400 * 86_400});

fuzz(
  'on a Cluster too the ledger holds exactly what was spent',
  fc.asyncProperty(events, async (list) => {
    await Promise.all(nodes.clients.map((client) => client.flushAll()));
    const world = new World(redis, record);
    await record(redis);
    for (const event of list) await world.happen(event);
    await record(redis);
    const truth = [...world.truth].map(([id, sum]) => [nameOf(id), sum.toString()]);
    expect(await world.recorded()).toEqual(new Map(truth as [string, string][]));
    expect(await world.unaccounted()).toEqual(new Map());
  }),
  4,
);
