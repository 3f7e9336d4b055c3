import {once} from 'node:events';
import {type AddressInfo, connect, createServer, type Server} from 'node:net';

let anchor: Promise<Server> | undefined;

/**
 * A TCP port of 127.0.0.1 that refuses connections until somebody listens on it. No other process is given it: it
 * belongs to a connection of this one, which keeps nobody from listening on purpose.
 */
export async function freePort(): Promise<number> {
  return holdPort(0);
}

/** The same for the port of a server that has just ended. */
export async function holdPort(localPort: number): Promise<number> {
  anchor ??= startAnchor();
  const {port} = (await anchor).address() as AddressInfo;
  const held = connect({port, host: '127.0.0.1', localAddress: '127.0.0.1', localPort}).unref();
  await once(held, 'connect');
  return held.localPort!;
}

async function startAnchor(): Promise<Server> {
  const server = createServer((socket) => socket.unref());
  server.listen(0, '127.0.0.1').unref();
  await once(server, 'listening');
  return server;
}
