import {connect, type Socket} from 'node:net';

import type {TestRedis} from '../redis/redis-server.js';
import {startServer} from './servers.js';

/**
 * The fate of a request: it passes; it and everything after it on its connection is swallowed; or Redis carries it out
 * and the connection is reset before any answer.
 */
export type Verdict = 'pass' | 'swallow' | 'lose-reply';

export interface Proxy {
  /** `redis://127.0.0.1:…` */
  readonly url: string;
  /** Resolves when the first request that did not pass has arrived. */
  readonly struck: Promise<void>;
  stop(): Promise<void>;
}

/**
 * Stands between a client and Redis, and breaks the connection at requests that the test chooses. What the test does
 * before an answer is done when the client hears of it.
 */
export async function startProxy(
  redis: TestRedis,
  judge: (request: string) => Verdict,
  beforeAnswer?: () => Promise<void>,
): Promise<Proxy> {
  let resolve!: () => void;
  const struck = new Promise<void>((done) => (resolve = done));
  const server = await startServer((client) => {
    const upstream = connectTo(redis);
    let verdict: Verdict = 'pass';
    let answers = Promise.resolve();
    client.on('data', (request) => {
      if (verdict !== 'pass') return;
      verdict = judge(request.toString());
      if (verdict !== 'swallow') upstream.write(request);
      if (verdict === 'lose-reply') {
        // Redis carries out what it has read before it notices the end of the connection.
        upstream.end();
      }
      if (verdict !== 'pass') resolve();
    });
    upstream.on('data', (reply) => {
      if (verdict !== 'pass') return;
      if (beforeAnswer === undefined) client.write(reply);
      else answers = answers.then(beforeAnswer).then(() => void client.write(reply));
    });
    upstream.once('close', () => {
      client.resetAndDestroy();
    });
    client.once('close', () => {
      upstream.destroy();
    });
  });
  return {url: server.url, struck, stop: () => server.stop()};
}

function connectTo({url}: TestRedis): Socket {
  const {protocol, hostname, port, pathname} = new URL(url);
  const socket = protocol === 'unix:' ? connect(decodeURIComponent(pathname)) : connect(Number(port), hostname);
  return socket.on('error', () => {
    // The test may stop Redis.
  });
}
