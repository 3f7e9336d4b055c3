import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';

import {portOf} from './servers.js';

export interface Receiver {
  /** `http://127.0.0.1:…/hooks/…`, with a token that is a secret. */
  readonly url: string;
  /** The parsed posts. */
  readonly posts: {text: string}[];
  readonly requests: IncomingMessage[];
  /** Its answer from now on; undefined for no answer at all. */
  answer: ((response: ServerResponse) => void) | undefined;
  /** Resolves when this many requests have arrived. */
  received(count: number): Promise<void>;
  stop(): Promise<void>;
}

export const TOKEN = 'T00-secret-Xy7/Zq9-very-secret';

/** A webhook on a free port of 127.0.0.1 that takes everything. */
export async function startReceiver(): Promise<Receiver> {
  const posts: {text: string}[] = [];
  const requests: IncomingMessage[] = [];
  let watch = (): void => {
    // Nobody waits yet.
  };
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text));
    request.on('end', () => {
      posts.push(JSON.parse(body) as {text: string});
      requests.push(request);
      watch();
      receiver.answer?.(response);
    });
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const receiver: Receiver = {
    url: `http://127.0.0.1:${portOf(server)}/hooks/${TOKEN}?key=also-a-secret-word`,
    posts,
    requests,
    answer: (response) => response.end('ok'),
    received: (count) =>
      new Promise((resolve) => {
        watch = () => {
          if (requests.length >= count) resolve();
        };
        watch();
      }),
    async stop() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
  return receiver;
}
