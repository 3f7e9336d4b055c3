import {
  BUDGET_KEYS,
  FREEZE_REASON_KEYS,
  FROZEN_UNTIL_KEYS,
  GRANTS_KEYS,
  keyOf,
  type KeyShape,
  PERIOD_KEYS,
  SESSION_KEYS,
  SPENT_KEYS,
} from '../gateway/keys.js';
import {READ_FACTS} from '../lua/scripts.js';
import {type Command, ErrorReply, type Redis, type RedisText} from '../redis/contract.js';
import {isScriptRefusal} from '../redis/failures.js';
import {inGroups} from '../values/chunks.js';
import {nameOf, type RawId, rawId} from '../values/session-id.js';
import {VALUE_LIMIT} from './repairs.js';

export interface SessionKey {
  id: RawId;
  shape: KeyShape;
}

/** The facts about a key. */
export interface KeyFacts extends SessionKey {
  /** The text, one character a byte; null if the value is not a text. */
  text: string | null;
  /** Redis's name for the type; `none` for no key. */
  type: string;
  /** Milliseconds; -1 for none. */
  ttl: number;
  /** The PTTL of each of the keys that it depends on; -2 if that key is absent. */
  others: readonly number[];
}

const SHAPES = [...SESSION_KEYS, PERIOD_KEYS, GRANTS_KEYS];

export function toSessionKey(name: Buffer): SessionKey | undefined {
  const key = name.toString('latin1');
  const shape = SHAPES.find(({prefix, suffix}) => key.startsWith(prefix) && key.endsWith(suffix));
  if (shape === undefined || key.length <= shape.prefix.length + shape.suffix.length) return undefined;
  return {id: rawId(key.slice(shape.prefix.length, key.length - shape.suffix.length)), shape};
}

export function nameOfKey({id, shape}: SessionKey): string {
  return `${shape.prefix}${nameOf(id)}${shape.suffix}`;
}

/** The other keys that each of these depends on. */
const OTHERS = new Map<KeyShape, readonly KeyShape[]>([
  [SPENT_KEYS, [BUDGET_KEYS]],
  [FREEZE_REASON_KEYS, [FROZEN_UNTIL_KEYS]],
  [PERIOD_KEYS, [BUDGET_KEYS]],
  [GRANTS_KEYS, [BUDGET_KEYS, PERIOD_KEYS]],
]);

/** Keys in one run of the script, which holds up the server for less than a millisecond. */
const GROUP = 200;

/**
 * Reads facts about keys. The script returns only the beginning of a value; longer ones are then read whole, since a
 * part would be judged differently.
 */
export async function readFacts(redis: Redis, keys: readonly SessionKey[]): Promise<KeyFacts[]> {
  const facts = await readBeginnings(redis, keys);
  const long = facts.filter(({text}) => text?.length === VALUE_LIMIT);
  if (long.length === 0) return facts;
  const replies = await redis.pipelineBytes(long.map(({shape, id}) => ['GET', keyOf(shape, id)]));
  for (const [index, one] of long.entries()) {
    const reply = replies[index];
    // Somebody may have replaced it meanwhile.
    if (Buffer.isBuffer(reply)) one.text = reply.toString('latin1');
  }
  return facts;
}

/** Uses a script, because a command for each key takes longer; commands serve a user who may not run scripts. */
async function readBeginnings(redis: Redis, keys: readonly SessionKey[]): Promise<KeyFacts[]> {
  // The keys of a script have to share a slot.
  if (redis.cluster !== undefined) return readFactsOneByOne(redis, keys);
  const groups = inGroups(keys, GROUP);
  const scripts = groups.map((group): Command => {
    const names = group.map(namesToRead);
    const counts = names.map(({length}) => length).join('');
    return ['EVAL', READ_FACTS, String(names.flat().length), ...names.flat(), counts, String(VALUE_LIMIT - 1)];
  });
  const answers = await redis.pipelineBytes(scripts);
  const isRefused = answers.some((answer) => answer instanceof ErrorReply && isScriptRefusal(answer));
  if (isRefused) return readFactsOneByOne(redis, keys);
  return groups.flatMap((group, index) => {
    const answer = answers[index];
    if (answer instanceof ErrorReply) throw redis.explain(answer);
    const values = (answer as unknown[]).values();
    return group.map((key) => toFacts(key, values));
  });
}

/** The key, and the keys that it depends on, if any. */
function namesToRead({id, shape}: SessionKey): RedisText[] {
  return [shape, ...(OTHERS.get(shape) ?? [])].map((one) => keyOf(one, id));
}

async function readFactsOneByOne(redis: Redis, keys: readonly SessionKey[]): Promise<KeyFacts[]> {
  const commands = keys.flatMap((key): Command[] => {
    const [name = '', ...others] = namesToRead(key);
    return [
      ['TYPE', name],
      ['PTTL', name],
      ['GETRANGE', name, '0', String(VALUE_LIMIT - 1)],
      ...others.map((other): Command => ['PTTL', other]),
    ];
  });
  const replies = await redis.pipelineBytes(commands);
  const refusal = replies.find((reply) => reply instanceof ErrorReply && !reply.message.includes('WRONGTYPE'));
  if (refusal instanceof ErrorReply) throw redis.explain(refusal);
  const values = replies.values();
  return keys.map((key) => toFacts(key, values));
}

function toFacts(key: SessionKey, values: IterableIterator<unknown>): KeyFacts {
  const next = (): unknown => values.next().value;
  const [type, ttl, text] = [String(next()), Number(next()), next()];
  return {
    ...key,
    type,
    ttl,
    text: Buffer.isBuffer(text) ? text.toString('latin1') : null,
    others: (OTHERS.get(key.shape) ?? []).map(() => Number(next())),
  };
}
