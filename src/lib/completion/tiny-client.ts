import type {Socket} from 'node:net';

import type {Credentials, Endpoint, RedisTarget, TlsSettings} from '../redis/url.js';

/** Bulk strings are bytes, one character a byte, as in a `RawId`. */
export type Reply = string | number | null | Reply[] | ReplyError;

export class ReplyError {
  constructor(readonly message: string) {}
}

export interface RespConnection {
  /** Sends commands in one flight, as bytes like the replies. Rejects when the connection ends first. */
  send(commands: readonly (readonly string[])[]): Promise<Reply[]>;
  /** Ends the connection at once. */
  close(): void;
}

/**
 * A minimal client for a Redis, or for the primary that Sentinels name: a TAB has to be answered in less time than
 * node-redis takes to load. It does not log in, chooses no database, and has no time limit.
 */
export async function openResp(target: RedisTarget): Promise<RespConnection> {
  return openServer(target.sentinel === undefined ? target.endpoints[0] : await findPrimary(target), target.tls);
}

/** Asks all Sentinels at once; the first one that knows the primary is believed. */
async function findPrimary({endpoints, sentinel, tls}: RedisTarget): Promise<Endpoint> {
  return Promise.any(
    endpoints.map(async (endpoint) => {
      const connection = await openServer(endpoint, tls);
      try {
        const question = ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', toBytes(sentinel?.primary ?? '')];
        const [address] = (await connection.send([...authCommands(sentinel?.credentials), question])).reverse();
        if (!Array.isArray(address)) throw new Error('unknown primary');
        const [host, port] = address as [string, string];
        return {host, port: Number(port)};
      } finally {
        connection.close();
      }
    }),
  );
}

/** Empty without a password. */
export function authCommands({username, password}: Partial<Credentials> = {}): string[][] {
  return password === undefined ? [] : [['AUTH', ...[username ?? [], password].flat().map(toBytes)]];
}

/** One character a byte. */
export function toBytes(text: string): string {
  return Buffer.from(text).toString('latin1');
}

async function openServer(endpoint: Endpoint, tls: TlsSettings | undefined): Promise<RespConnection> {
  const socket = tls ? await connectTls(endpoint, tls) : (await import('node:net')).connect(endpoint);
  const waiting: {count: number; resolve: (replies: Reply[]) => void; reject: (error: Error) => void}[] = [];
  let unread = '';
  const fail = (error: Error): void => {
    for (const {reject} of waiting.splice(0)) reject(error);
  };
  socket.setEncoding('latin1');
  socket.on('error', fail);
  socket.on('close', () => {
    fail(new Error('closed'));
  });
  const read = (): void => {
    while (waiting[0] !== undefined) {
      const [{count, resolve}] = waiting as [(typeof waiting)[0]];
      const parsed = parseReplies(unread, 0, count);
      if (parsed === undefined) return;
      unread = unread.slice(parsed.end);
      waiting.shift();
      resolve(parsed.replies);
    }
  };
  socket.on('data', (chunk: string) => {
    unread += chunk;
    try {
      read();
    } catch (error) {
      socket.destroy(error as Error);
    }
  });
  return {
    send: (commands) =>
      new Promise((resolve, reject) => {
        if (socket.destroyed) {
          reject(new Error('closed'));
          return;
        }
        waiting.push({count: commands.length, resolve, reject});
        socket.write(commands.map(encodeCommand).join(''), 'latin1');
      }),
    close: () => void socket.destroy(),
  };
}

async function connectTls(endpoint: Endpoint, settings: TlsSettings): Promise<Socket> {
  const [{connect}, {readTlsOptions}] = await Promise.all([import('node:tls'), import('../redis/tls-files.js')]);
  return connect({...endpoint, ...(await readTlsOptions(settings, endpoint))});
}

function encodeCommand(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`;
}

/** Undefined while a part of the replies is missing. */
function parseReplies(text: string, start: number, count: number): {replies: Reply[]; end: number} | undefined {
  const replies: Reply[] = [];
  let end = start;
  while (replies.length < count) {
    const parsed = parseReply(text, end);
    if (parsed === undefined) return undefined;
    replies.push(parsed.reply);
    ({end} = parsed);
  }
  return {replies, end};
}

function parseReply(text: string, start: number): {reply: Reply; end: number} | undefined {
  const lineEnd = text.indexOf('\r\n', start);
  if (lineEnd === -1) return undefined;
  const line = text.slice(start + 1, lineEnd);
  const next = lineEnd + 2;
  switch (text[start]) {
    case '+':
      return {reply: line, end: next};
    case '-':
      return {reply: new ReplyError(line), end: next};
    case ':':
      return {reply: Number(line), end: next};
    case '$': {
      const length = Number(line);
      if (length === -1) return {reply: null, end: next};
      if (text.length < next + length + 2) return undefined;
      return {reply: text.slice(next, next + length), end: next + length + 2};
    }
    case '*': {
      const length = Number(line);
      if (length === -1) return {reply: null, end: next};
      const list = parseReplies(text, next, length);
      return list && {reply: list.replies, end: list.end};
    }
    default:
      throw new Error('not a reply of Redis');
  }
}
