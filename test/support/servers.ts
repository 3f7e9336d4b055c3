import {createServer, type Server, type Socket} from 'node:net';
import {createServer as createTlsServer, type TlsOptions} from 'node:tls';

export interface FakeServer {
  /** `redis://127.0.0.1:…` */
  readonly url: string;
  /** Resolves when the first client has connected. */
  readonly connected: Promise<void>;
  stop(): Promise<void>;
}

/** Listens on a free port of 127.0.0.1, for TLS where it is given its files, and does with each connection what it is told. */
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
  return {
    url: `redis://127.0.0.1:${portOf(server)}`,
    connected,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((closed) => server.close(closed));
    },
  };
}

/** Reads and never answers, as a server does behind a firewall that swallows packets. */
export const silent = (socket: Socket): void => {
  socket.resume();
};

export const closing = (socket: Socket): void => {
  socket.end();
};

export const resetting = (socket: Socket): void => {
  socket.resetAndDestroy();
};

/** Speaks first, as SSH and SMTP servers do. */
export const greeting =
  (text: string | Buffer) =>
  (socket: Socket): void => {
    socket.resume();
    socket.write(text);
  };

/** Answers whatever it is sent with the same text. */
export const answering =
  (text: string) =>
  (socket: Socket): void => {
    socket.on('data', () => socket.write(text));
  };

/** Answers with an error that repeats what it was sent, as a Redis does that does not know the command. */
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

/** What a server answers: text, a number, nothing, a list of these, or an error; undefined is no answer at all. */
export type Answer = string | number | null | Answer[] | Error | undefined;

/** What a server answers, by the first word of the command. */
export type Answers = Record<string, Answer | ((command: string[]) => Answer)>;

export interface AnsweringServer {
  readonly url: string;
  readonly port: number;
  /** All that it was sent, in order. */
  readonly commands: readonly string[];
  /** How many connections to it are open. */
  readonly open: () => number;
  stop(): Promise<void>;
}

/** What a Redis answers that holds nothing. */
export const EMPTY_REDIS = {
  HELLO: ['server', 'redis', 'version', '7.0.0', 'mode', 'standalone', 'role', 'master'],
  AUTH: 'OK',
  SELECT: 'OK',
  DBSIZE: 0,
  TIME: ['1800000000', '0'],
  EXISTS: 0,
  SCAN: ['0', []],
} satisfies Answers;

/** Speaks the Redis protocol, and answers each command as the test says. */
export async function startAnswering(answers: Answers, tls?: TlsOptions): Promise<AnsweringServer> {
  const commands: string[] = [];
  let open = 0;
  const server = await startServer((socket) => {
    open++;
    socket.once('close', () => open--);
    answerEach(socket, (command) => {
      commands.push(command.join(' '));
      const given = answers[command[0] ?? ''];
      return typeof given === 'function' ? given(command) : given;
    });
  }, tls);
  const {url} = server;
  return {url, port: Number(new URL(url).port), commands, open: () => open, stop: () => server.stop()};
}

/** Answers each command on a connection. */
function answerEach(socket: Socket, answer: (command: string[]) => Answer): void {
  let unread = '';
  socket.on('data', (chunk) => {
    unread += chunk.toString('latin1');
    for (;;) {
      const [head = '', count] = /^\*(\d+)\r\n/.exec(unread) ?? [];
      const words: string[] = [];
      let end = head.length;
      while (words.length < Number(count)) {
        const [line = '', length] = /^\$(\d+)\r\n/.exec(unread.slice(end)) ?? [];
        const next = end + line.length + Number(length) + 2;
        if (line === '' || unread.length < next) return;
        words.push(unread.slice(end + line.length, next - 2));
        end = next;
      }
      if (words.length === 0) return;
      unread = unread.slice(end);
      const given = answer(words);
      if (given !== undefined) socket.write(encode(given), 'latin1');
    }
  });
}

function encode(answer: Exclude<Answer, undefined>): string {
  if (answer === null) return '$-1\r\n';
  if (answer instanceof Error) return `-${answer.message}\r\n`;
  if (typeof answer === 'number') return `:${answer}\r\n`;
  if (Array.isArray(answer)) return `*${answer.length}\r\n${answer.map((one) => encode(one ?? null)).join('')}`;
  return `$${answer.length}\r\n${answer}\r\n`;
}

export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
