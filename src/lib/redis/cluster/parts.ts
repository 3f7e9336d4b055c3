import {type Command, ErrorReply, isRead, NoReply, type RedisText} from '../contract.js';
import type {Endpoint} from '../url.js';
import {slotOf} from './slots.js';

/** A command, or the part of one, that goes to one node. */
export interface Part {
  command: Command;
  slot: number;
  /** True when it may be sent again after its answer was lost. */
  isRead: boolean;
  reply: unknown;
  /** The node to ask next, once, in place of the one that the map names. */
  asking: Endpoint | undefined;
  /** The node that it was last sent to. */
  sentTo: Endpoint | undefined;
}

/** Commands whose keys may be on different nodes. */
const SPLIT = new Set(['MGET', 'EXISTS']);
/** @param homeKey names the node for a command without a key */
export function toParts(command: Command, homeKey: RedisText): Part[] {
  const name = String(command[0]).toUpperCase();
  const keys = keysIn(name, command);
  const part = {isRead: isRead(command), reply: undefined, asking: undefined, sentTo: undefined};
  if (SPLIT.has(name)) return keys.map((key) => ({...part, command: [name, key], slot: slotOf(key)}));
  return [{...part, command, slot: slotOf(keys[0] ?? homeKey)}];
}

function keysIn(name: string, command: Command): readonly RedisText[] {
  if (SPLIT.has(name)) return command.slice(1);
  if (name === 'TIME') return [];
  if (name === 'EVAL') return command.slice(3, 3 + Number(command[2]));
  return command.slice(name === 'XINFO' ? 2 : 1).slice(0, 1);
}

/** Builds the reply to a command from the replies to its parts. */
export function join(command: Command, parts: readonly Part[]): unknown {
  const name = String(command[0]).toUpperCase();
  if (!SPLIT.has(name)) return parts[0]?.reply;
  const replies = parts.map(({reply}) => reply);
  const failure =
    replies.find((reply) => reply instanceof NoReply) ?? replies.find((reply) => reply instanceof ErrorReply);
  if (failure !== undefined) return failure;
  return name === 'MGET' ? replies.flat() : replies.reduce((sum: number, reply) => sum + Number(reply), 0);
}
