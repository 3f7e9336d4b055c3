import type {Socket} from 'node:net';
import type {TlsOptions} from 'node:tls';

import {type FakeServer, startServer} from './servers.js';

/**
 * A reply: text is a bulk string, one character a byte; an error has its text; after `undefined` nothing is answered
 * any more.
 */
export type Answer = string | number | null | Error | Answer[] | undefined;

export interface RespServer extends FakeServer {
  readonly port: number;
}

const forever = new Promise<never>(() => undefined);

/** Speaks the protocol of Redis, and answers each command of a connection in turn as the test chooses. */
export async function startRespServer(
  answer: (command: string[], socket: Socket) => Answer | Promise<Answer>,
  tls?: TlsOptions,
): Promise<RespServer> {
  const server = await startServer((socket) => {
    let unread = '';
    let turn = Promise.resolve();
    socket.setEncoding('latin1');
    socket.on('data', (chunk) => {
      unread += String(chunk);
      for (;;) {
        const parsed = parseCommand(unread);
        if (parsed === undefined) return;
        unread = unread.slice(parsed.length);
        turn = turn.then(async () => {
          const reply = await answer(parsed.words, socket);
          if (reply === undefined) await forever;
          else if (!socket.destroyed) socket.write(encode(reply), 'latin1');
        });
      }
    });
  }, tls);
  return {...server, port: Number(new URL(server.url).port)};
}

/** A server's answers, by the first word of the command. */
export type Answers = Record<string, Answer | ((command: string[]) => Answer)>;

export interface AnsweringServer extends RespServer {
  /** Everything that it was sent, in order. */
  readonly commands: readonly string[];
}

/** The answers of an empty Redis. */
export const EMPTY_REDIS = {
  HELLO: ['server', 'redis', 'version', '7.0.0', 'mode', 'standalone', 'role', 'master'],
  AUTH: 'OK',
  SELECT: 'OK',
  DBSIZE: 0,
  TIME: ['1800000000', '0'],
  EXISTS: 0,
  SCAN: ['0', []],
} satisfies Answers;

/** The same, with an answer for each kind of command. */
export async function startAnswering(answers: Answers, tls?: TlsOptions): Promise<AnsweringServer> {
  const commands: string[] = [];
  const server = await startRespServer((command) => {
    commands.push(command.join(' '));
    const given = answers[command[0] ?? ''];
    return typeof given === 'function' ? given(command) : given;
  }, tls);
  return {...server, commands};
}

/** Undefined while a part of it is missing. */
function parseCommand(text: string): {words: string[]; length: number} | undefined {
  const [head, count] = /^\*(\d+)\r\n/.exec(text) ?? [];
  if (head === undefined) return undefined;
  const words: string[] = [];
  let at = head.length;
  while (words.length < Number(count)) {
    const [line, size] = /^\$(\d+)\r\n/.exec(text.slice(at, at + 20)) ?? [];
    if (line === undefined || text.length < at + line.length + Number(size) + 2) return undefined;
    words.push(text.slice(at + line.length, at + line.length + Number(size)));
    at += line.length + Number(size) + 2;
  }
  return {words, length: at};
}

function encode(reply: Exclude<Answer, undefined>): string {
  if (reply === null) return '$-1\r\n';
  if (typeof reply === 'number') return `:${reply}\r\n`;
  if (typeof reply === 'string') return `$${reply.length}\r\n${reply}\r\n`;
  if (reply instanceof Error) return `-${reply.message}\r\n`;
  return `*${reply.length}\r\n${reply.map((one) => encode(one ?? null)).join('')}`;
}
