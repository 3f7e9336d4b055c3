import {expect, test} from 'vitest';

import {Decimal} from '../../../src/lib/values/decimal.js';
import {run} from '../../support/program/run.js';
import {Workers} from '../../support/redis/gateway.js';
import {type Nodes, withCluster} from '../../support/redis/with-cluster.js';

let nodes: Nodes;
withCluster((own) => ({nodes} = own));

test('on a cluster too, spending that requests under way write back is taken off again, and nothing is lost', async () => {
  const ids = Array.from({length: 60}, (_, index) => `s${index}`);
  for (const id of ids) await nodes.clientOf(`session:${id}:budget`).set(`session:${id}:budget`, '20');
  const workers = new Workers(ids, (key) => nodes.clientOf(key));
  await workers.spend('19');
  const {code, stdout} = await run('reset-session --all --keep-budget --yes --json', {url: nodes.urls[0] ?? ''});
  await workers.stop();
  expect(code).toBe(0);
  const [results = '', looks = ''] = stdout.split('"second_looks"');
  expect(looks).toContain('taken_off');
  let counted = Decimal.of(0);
  for (const [, digits = '0'] of results.matchAll(/"removed_spent": ([\d.]+)/g))
    counted = counted.plus(Decimal.of(digits));
  for (const id of ids) {
    const key = `session:${id}:spent`;
    const left = Decimal.of((await nodes.clientOf(key).get(key)) ?? '0');
    expect(left.lt(19)).toBe(true);
    counted = counted.plus(left);
  }
  expect(counted.toString()).toBe([...workers.costs.values()].reduce((sum, cost) => sum.plus(cost)).toString());
});
