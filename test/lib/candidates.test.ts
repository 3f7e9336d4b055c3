import {createServer} from 'node:net';

import {expect, test} from 'vitest';

import {findCandidates} from '../../src/lib/candidates.js';
import {parseRedisUrl} from '../../src/lib/redis-url.js';

/** Milliseconds; longer than a test may take. */
const FOREVER = 10 * 60_000;

test('what would take too long is known long before the time is over', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      for (const [command] of String(data).matchAll(/^(DBSIZE|TIME|EXISTS|SCAN)(?=\r$)/gm)) {
        socket.write(command === 'SCAN' ? '*2\r\n$1\r\n7\r\n*0\r\n' : ':9000000000000\r\n');
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const target = parseRedisUrl(`redis://127.0.0.1:${address.port}`);
  const options = {kind: 'sessions', prefix: 'a', isOffered: () => true, limit: 200, limitMs: FOREVER} as const;
  expect(await findCandidates(target, options)).toEqual([]);
  server.close();
});
