import {setTimeout} from 'node:timers/promises';

import {beforeEach, describe, expect} from 'vitest';

import {slotOf} from '../../../../../src/lib/redis/cluster/slots.js';
import type {Redis} from '../../../../../src/lib/redis/contract.js';
import {AS_EVER, type Range} from '../../../../support/impostors/fake-cluster.js';
import {
  first,
  K0,
  K1,
  K2,
  slot,
  SOON,
  thrown,
  type OwnCluster,
  test,
} from '../../../../support/impostors/with-fake-cluster.js';

describe('a scan', () => {
  const scan = async (redis: Redis, pattern = '*', onPage?: (page: string[]) => unknown): Promise<string[]> => {
    const found: string[] = [];
    for await (const page of redis.scan(pattern)) {
      found.push(...page.map(String));
      await onPage?.(page.map(String));
    }
    return found;
  };
  const doubts = (redis: Redis): string[] => [...redis.doubts];
  beforeEach<OwnCluster>(({cluster}) => {
    cluster.pages.splice(0, 3, [[K0], [], ['x', 'y']], [[K1]], [[K2], ['z']]);
  });

  test.concurrent('reads each primary to its end', async ({cluster, open}) => {
    const redis = await open();
    expect(await scan(redis, 'p*')).toEqual([K0, 'x', 'y', K1, K2, 'z']);
    expect(cluster.log).toEqual([
      ['SCAN 0 MATCH p* COUNT 1000', 'SCAN 1 MATCH p* COUNT 1000', 'SCAN 2 MATCH p* COUNT 1000'],
      ['SCAN 0 MATCH p* COUNT 1000'],
      ['SCAN 0 MATCH p* COUNT 1000', 'SCAN 1 MATCH p* COUNT 1000'],
      [],
      [],
    ]);
    expect(doubts(redis)).toEqual([]);
  });

  test.concurrent('reads a node of few slots as any other, and keys as bytes', async ({cluster, open}) => {
    cluster.ranges = [
      [0, 99, 3],
      [100, 16_383, 0],
    ];
    cluster.pages.splice(0, 4, [], [], [], [['\xff']]);
    const redis = await open();
    const asked: string[] = [];
    cluster.judge = (_, [name, word]) => {
      if (name === 'CLUSTER') asked.push(word ?? '');
      return AS_EVER;
    };
    const keys: Buffer[] = [];
    for await (const page of redis.scan('*')) keys.push(...page);
    expect(keys).toEqual([Buffer.from('\xff', 'latin1')]);
    expect(asked).toEqual(['NODES', 'NODES', 'NODES', 'NODES']);
  });

  test.concurrent('can be left at any time', async ({open}) => {
    const redis = await open();
    for await (const page of redis.scan('*')) {
      expect(page.map(String)).toEqual([K0]);
      redis.close();
      break;
    }
  });

  test.concurrent('that is refused says why', async ({cluster, open}) => {
    const redis = await open();
    cluster.judge = first(1, 'SCAN', new Error("NOPERM no permissions to run the 'scan' command"));
    const error = await thrown(scan(redis));
    expect(error.message).toContain(cluster.addressOf(1));
    expect(error.code).toBe('REDIS_NO_PERMISSION');
  });

  test.concurrent('by a user who may not ask what is on the move says so', async ({cluster, open}) => {
    const redis = await open();
    cluster.judge = (_, [name, word]) =>
      name === 'CLUSTER' && word === 'NODES'
        ? new Error("NOPERM no permissions to run 'cluster|nodes' command")
        : AS_EVER;
    expect(await scan(redis)).toEqual([K0, 'x', 'y', K1, K2, 'z']);
    expect(doubts(redis)).toEqual([
      expect.stringMatching(
        /^The list could be incomplete, if keys of the cluster were moved meanwhile: Redis at .* refused/,
      ),
    ]);
  });

  test.concurrent('by a user who may not ask any more what is on the move says so', async ({cluster, open}) => {
    const redis = await open();
    let asked = 0;
    cluster.judge = (node, [, word]) =>
      node === 1 && word === 'NODES' && ++asked === 2 ? new Error("NOPERM no 'cluster|nodes' command") : AS_EVER;
    expect(await scan(redis)).toEqual([K0, 'x', 'y', K1, K2, 'z']);
    expect(doubts(redis)).toHaveLength(1);
  });

  test.concurrent(
    'reads slots that are on the move one by one, first where their keys leave',
    async ({cluster, open}) => {
      const redis = await open();
      const moved = `${K1}{${K1}}`;
      cluster.moving[1] = `[${slot(K1)}->-id2]`;
      cluster.moving[2] = `[${slot(K1)}-<-id1]`;
      cluster.pages[2]?.push([`p${moved}`, moved]);
      const order: string[] = [];
      cluster.judge = (node, [name, ...args]) => {
        if (args[0] === 'GETKEYSINSLOT' || args[0] === 'COUNTKEYSINSLOT') order.push(`${node} ${args.join(' ')}`);
        // Found by its slot alone.
        return name === 'SCAN' && node > 0 ? ['0', []] : AS_EVER;
      };
      expect(await scan(redis, `${K1}*`)).toEqual([K0, 'x', 'y', K1, moved]);
      expect(order).toEqual([
        ...[`1 COUNTKEYSINSLOT ${slot(K1)}`, `1 GETKEYSINSLOT ${slot(K1)} 102`],
        ...[`2 COUNTKEYSINSLOT ${slot(K1)}`, `2 GETKEYSINSLOT ${slot(K1)} 104`],
      ]);
      expect(doubts(redis)).toEqual([]);
    },
  );

  test.concurrent('reads a slot that has changed its node meanwhile where it is now', async ({cluster, open}) => {
    const redis = await open();
    const at = slotOf(K1);
    const after: Range[] = [
      [0, 5461, 0],
      [5462, at - 1, 1],
      [at, at, 2],
      [at + 1, 10_922, 1],
      [10_923, 16_383, 2],
    ];
    const order: string[] = [];
    cluster.judge = (node, [name, ...args]) => {
      if (args[0] === 'COUNTKEYSINSLOT') order.push(`${node} ${args.join(' ')}`);
      if (name !== 'SCAN' || node !== 1) return AS_EVER;
      cluster.ranges = after;
      return ['0', []];
    };
    cluster.pages[2] = [[K2]];
    cluster.pages[2].push([K1]);
    expect(await scan(redis)).toEqual([K0, 'x', 'y', K2, K1, K1]);
    expect(order).toEqual([`2 COUNTKEYSINSLOT ${slot(K1)}`]);
  });

  test.concurrent.for([
    ['but not afterwards', true, false],
    ['but only afterwards', false, true],
  ])(
    'reads a slot again that is on the move at first, or at last: %s',
    async ([, isBefore, isAfter], {cluster, open}) => {
      const redis = await open();
      const leaves = `[${slot(K1)}->-id2]`;
      cluster.moving[1] = isBefore ? leaves : '';
      let isScanned = false;
      const counted: string[] = [];
      cluster.judge = (node, [name, word, at]) => {
        if (node === 1 && name === 'SCAN') {
          cluster.moving[1] = isAfter ? leaves : '';
          isScanned = true;
        }
        if (word === 'COUNTKEYSINSLOT') counted.push(`${node} ${at ?? ''} ${isScanned}`);
        return AS_EVER;
      };
      expect(await scan(redis)).toEqual([K0, 'x', 'y', K1, K2, 'z', K1]);
      expect(counted).toEqual([`1 ${slot(K1)} true`]);
    },
  );

  describe('that reads a slot on its way', () => {
    const at = slotOf(K1);
    /** Only the slot of the key has another owner. */
    const ownedBy = (node: number): Range[] => [
      [0, 5461, 0],
      [5462, at - 1, 1],
      [at, at, node],
      [at + 1, 10_922, 1],
      [10_923, 16_383, 2],
    ];
    /**
     * Lets something happen when it is read on the third node, where it goes, and something else when it is asked who
     * serves what; gives which nodes were read.
     */
    const readOf = async (
      {cluster, open}: Omit<OwnCluster, 'ends'>,
      act: () => void,
      later = (): void => undefined,
    ): Promise<number[]> => {
      const redis = await open();
      cluster.moving[1] = `[${at}->-id2]`;
      cluster.moving[2] = `[${at}-<-id1]`;
      const read: number[] = [];
      cluster.judge = (node, [, word]) => {
        if (word === 'SLOTS' && read.length > 1) later();
        if (word !== 'COUNTKEYSINSLOT') return AS_EVER;
        read.push(node);
        if (read.length === 2) act();
        return AS_EVER;
      };
      await scan(redis);
      expect(doubts(redis)).toEqual([]);
      return read;
    };

    test.concurrent('is content when it has arrived', async ({cluster, open}) => {
      const read = await readOf({cluster, open}, () => {
        cluster.moving.splice(1, 2, '', '');
        cluster.ranges = ownedBy(2);
      });
      expect(read).toEqual([1, 2]);
    });

    test.concurrent('reads it again when it has come back', async ({cluster, open}) => {
      const read = await readOf({cluster, open}, () => {
        cluster.moving.splice(1, 2, '', '');
      });
      expect(read).toEqual([1, 2, 1]);
    });

    test.concurrent('reads it again when it has gone elsewhere', async ({cluster, open}) => {
      const read = await readOf({cluster, open}, () => {
        cluster.moving.splice(1, 2, '', '');
        cluster.ranges = ownedBy(0);
      });
      expect(read).toEqual([1, 2, 0]);
    });

    test.concurrent('reads it again when it has turned back', async ({cluster, open}) => {
      const read = await readOf({cluster, open}, () => {
        cluster.moving[1] = `[${at}-<-id2]`;
        cluster.moving[2] = `[${at}->-id1]`;
        cluster.ranges = ownedBy(2);
      });
      expect(read).toEqual([1, 2, 2, 1]);
    });

    test.concurrent('reads it again when no node has it for a while', async ({cluster, open}) => {
      const read = await readOf(
        {cluster, open},
        () => {
          cluster.moving.splice(1, 2, '', '');
          cluster.ranges = ownedBy(2).filter(([from]) => from !== at);
        },
        () => {
          cluster.ranges = ownedBy(2);
        },
      );
      expect(read).toEqual([1, 2, 2]);
    });

    test.concurrent('says what is refused', async ({cluster, open}) => {
      const redis = await open();
      cluster.moving[1] = `[${at}->-id2]`;
      cluster.judge = (_, [, word]) =>
        word === 'COUNTKEYSINSLOT'
          ? new Error("NOPERM no permissions to run 'cluster|countkeysinslot' command")
          : AS_EVER;
      const error = await thrown(scan(redis));
      expect(error.message).toContain(cluster.addressOf(1));
      expect(error.code).toBe('REDIS_NO_PERMISSION');
    });

    test.concurrent('asks for the keys of slots alone that have any', async ({cluster, open}) => {
      const redis = await open();
      cluster.moving[1] = `[${at}->-id2] [${at + 1}->-id2]`;
      const asked: string[] = [];
      cluster.judge = (node, [name, word, ...rest]) => {
        if (name === 'CLUSTER' && word?.endsWith('INSLOT') === true) asked.push([node, word, ...rest].join(' '));
        return AS_EVER;
      };
      await scan(redis);
      expect(asked).toEqual([
        ...[`1 COUNTKEYSINSLOT ${at}`, `1 COUNTKEYSINSLOT ${at + 1}`, `1 GETKEYSINSLOT ${at} 102`],
      ]);
      expect(cluster.log[1]).toEqual(['SCAN 0 MATCH * COUNT 1000']);
    });
  });

  test.concurrent('scans a node again of which many slots have changed', async ({cluster, open}) => {
    const redis = await open();
    cluster.judge = (node, [name, cursor]) => {
      // All of its slots go while it is read.
      if (name === 'SCAN' && node === 1 && cursor === '0') {
        cluster.ranges = cluster.ranges.map(([from, to, owner]): Range => [from, to, owner === 1 ? 3 : owner]);
        cluster.pages[3] = [[K1]];
        return ['0', []];
      }
      return AS_EVER;
    };
    expect(await scan(redis)).toEqual([K0, 'x', 'y', K2, 'z', K1]);
    expect(cluster.log.map((lines) => lines.length)).toEqual([3, 1, 2, 1, 0]);
  });

  test.concurrent('says how much of it could not be read, since no node serves it', async ({cluster, open}) => {
    cluster.ranges.splice(1, 1);
    cluster.ranges.push([5462, 10_920, 1]);
    const redis = await open();
    expect(await scan(redis)).toEqual([K0, 'x', 'y', K1, K2, 'z']);
    expect(doubts(redis)).toEqual([
      "The list could be incomplete: keys of 2 of the cluster's 16384 slots are being moved, or no node serves them.",
    ]);
  });

  test.concurrent('goes on with the node that has taken over from one that is gone', async ({cluster, open}) => {
    const redis = await open();
    let count = 0;
    cluster.judge = (node, [name], socket) => {
      if (node !== 1 || name !== 'SCAN') return AS_EVER;
      if (++count === 2) {
        cluster.ranges = cluster.ranges.map(([from, to, owner]): Range => [from, to, owner === 1 ? 3 : owner]);
        cluster.pages[3] = [[K1]];
      }
      socket.destroy();
      return undefined;
    };
    expect(await scan(redis)).toEqual([K0, 'x', 'y', K2, 'z', K1]);
    expect(doubts(redis)).toEqual([]);
  });

  test.concurrent(
    'gives up when a node stays gone, with why, and has given what the others have',
    async ({cluster, open}) => {
      const redis = await open({timeoutMs: SOON});
      await cluster.nodes[1]?.stop();
      const found: string[] = [];
      const error = await thrown(scan(redis, '*', (page) => found.push(...page)));
      expect(error.code).toBe('REDIS_UNREACHABLE');
      expect(error.message).toContain(cluster.addressOf(1));
      expect(found).toEqual([K0, 'x', 'y', K2, 'z']);
    },
  );

  test.concurrent('gives up with the first that was wrong', async ({cluster, open}) => {
    const redis = await open({timeoutMs: SOON});
    cluster.judge = (node, [name]) => {
      if (node === 1 && name === 'SCAN') void cluster.nodes[1]?.stop();
      return node === 1 && name === 'SCAN' ? undefined : AS_EVER;
    };
    expect((await thrown(scan(redis))).code).toBe('REDIS_CONNECTION_LOST');
  });

  test.concurrent(
    'reads the others to their end, however long that takes, when one is silent',
    async ({cluster, open}) => {
      const redis = await open({timeoutMs: 600});
      cluster.pages[2] = [['a'], ['b'], ['c'], ['d']];
      cluster.judge = async (node, [name]) => {
        if (name !== 'SCAN') return AS_EVER;
        if (node === 1) return undefined;
        if (node === 2) await setTimeout(200);
        return AS_EVER;
      };
      const found: string[] = [];
      const error = await thrown(scan(redis, '*', (page) => found.push(...page)));
      expect(error.code).toBe('REDIS_TIMEOUT');
      expect(error.message).toContain(cluster.addressOf(1));
      expect(found).toEqual([K0, 'x', 'y', 'a', 'b', 'c', 'd']);
    },
  );

  test.concurrent('ends at once for what is no failure of a node', async ({cluster, open}) => {
    const redis = await open();
    cluster.judge = first(0, 'SCAN', new Error('WRONGPASS no'));
    const found: string[] = [];
    const error = await thrown(scan(redis, '*', (page) => found.push(...page)));
    expect(error.code).toBe('REDIS_AUTH_FAILED');
    expect(found).toEqual([]);
  });
});
