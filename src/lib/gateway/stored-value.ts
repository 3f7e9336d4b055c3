import {ErrorReply, type Redis} from '../redis/contract.js';
import {decodeText} from './stored-text.js';

/**
 * What a key that should hold a text holds: that text, false for no key, true for a value of another Redis type. Where a
 * change is made, or undone, the text is bytes, one character a byte, so that nothing is lost of what is not UTF-8.
 */
export type Held = string | boolean;

/**
 * Reads the reply to a GET; of bytes, bytes.
 *
 * @throws TokengateError what it was refused for, but for a value of another type
 */
export function toHeld(redis: Redis, reply: unknown): Held {
  if (typeof reply === 'string') return reply;
  if (Buffer.isBuffer(reply)) return reply.toString('latin1');
  if (!(reply instanceof ErrorReply)) return false;
  if (!reply.message.includes('WRONGTYPE')) throw redis.explain(reply);
  return true;
}

/** The same as text: see `decodeText`. */
export function toHeldText(redis: Redis, reply: unknown): Held {
  return Buffer.isBuffer(reply) ? decodeText(reply) : toHeld(redis, reply);
}
