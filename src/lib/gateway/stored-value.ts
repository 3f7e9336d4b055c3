import {ErrorReply, type Redis, type RedisText} from '../redis/contract.js';
import {decodeText} from './stored-text.js';

/**
 * The value of a key that should hold a text: that text, false for no key, true for another Redis type. For changes and
 * their undoing the text is bytes, one character a byte, so that nothing is lost of a text that is not UTF-8.
 */
export type Held = string | boolean;

/**
 * Reads the reply to a GET. Bytes stay bytes.
 *
 * @throws TokengateError why it was refused, unless the key holds another type
 */
export function toHeld(redis: Redis, reply: unknown): Held {
  if (typeof reply === 'string') return reply;
  if (Buffer.isBuffer(reply)) return reply.toString('latin1');
  if (!(reply instanceof ErrorReply)) return false;
  if (!reply.message.includes('WRONGTYPE')) throw redis.explain(reply);
  return true;
}

/** The same for text: see `decodeText`. */
export function toHeldText(redis: Redis, reply: unknown): Held {
  return Buffer.isBuffer(reply) ? decodeText(reply) : toHeld(redis, reply);
}

/**
 * In replies that were read as text, bytes that are not UTF-8 have become U+FFFD. Reads such values again, as bytes,
 * and puts their text in place: see `decodeText`. Usually there are none, and nothing is read.
 */
export async function readMangled(redis: Redis, keys: readonly RedisText[], values: unknown[]): Promise<void> {
  const mangled: number[] = [];
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (typeof value === 'string' && value.includes('\ufffd')) mangled.push(index);
  }
  if (mangled.length === 0) return;
  const replies = await redis.pipelineBytes(mangled.map((index) => ['GET', keys[index] ?? '']));
  for (const [nth, index] of mangled.entries()) {
    const reply = replies[nth];
    values[index] = Buffer.isBuffer(reply) ? decodeText(reply) : reply;
  }
}
