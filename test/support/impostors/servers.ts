import {createServer, type Server, type Socket} from 'node:net';
import {createServer as createTlsServer, type TlsOptions} from 'node:tls';

import {holdPort} from '../ports.js';

export interface FakeServer {
  /** `redis://127.0.0.1:…` */
  readonly url: string;
  /** Resolves when the first client has connected. */
  readonly connected: Promise<void>;
  /** The number of open connections. */
  readonly open: () => number;
  stop(): Promise<void>;
}

/**
 * Listens on a free port of 127.0.0.1, with TLS if it gets files for that, and calls the function for each connection.
 */
export async function startServer(onConnection: (socket: Socket) => void, tls?: TlsOptions): Promise<FakeServer> {
  const sockets = new Set<Socket>();
  let resolve!: () => void;
  const connected = new Promise<void>((done) => (resolve = done));
  const onSocket = (socket: Socket): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => {
      // The client may end the connection at any time.
    });
    onConnection(socket);
    resolve();
  };
  const server = tls === undefined ? createServer(onSocket) : createTlsServer(tls, onSocket);
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const port = portOf(server);
  return {
    url: `redis://127.0.0.1:${port}`,
    connected,
    open: () => sockets.size,
    async stop() {
      for (const socket of sockets) socket.destroy();
      if (!server.listening) return;
      await new Promise((closed) => server.close(closed));
      await holdPort(port);
    },
  };
}

/** Reads and never answers, like a server behind a firewall that drops packets. */
export const silent = (socket: Socket): void => {
  socket.resume();
};

export const closing = (socket: Socket): void => {
  socket.end();
};

export const resetting = (socket: Socket): void => {
  socket.resetAndDestroy();
};

/** Speaks first, like SSH and SMTP servers. */
export const greeting =
  (text: string | Buffer) =>
  (socket: Socket): void => {
    socket.resume();
    socket.write(text);
  };

/** Answers everything with the same text. */
export const answering =
  (text: string) =>
  (socket: Socket): void => {
    socket.on('data', () => socket.write(text));
  };

/** Answers with an error that repeats what it was sent, like a Redis that does not know the command. */
export const echoing = (socket: Socket): void => {
  socket.on('data', (chunk) => {
    const words = chunk
      .toString()
      .split('\r\n')
      .filter((line) => line !== '' && !/^[*$]/.test(line));
    const commands = chunk.toString().match(/^\*/gm)?.length ?? 1;
    socket.write(`-ERR unknown command, with args beginning with: ${words.join(' ')}\r\n`.repeat(commands));
  });
};

export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
