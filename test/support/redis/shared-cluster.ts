import {startCluster} from './cluster.js';

/** For mutation tests: one cluster for all mutants, since starting one takes longer than the tests of a mutant. */
export default async function setup(): Promise<() => Promise<void>> {
  const cluster = await startCluster();
  process.env['TEST_CLUSTER'] = cluster.primaries.map(({url}) => url).join(' ');
  return () => cluster.stop();
}
