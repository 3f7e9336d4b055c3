import {setTimeout as wait} from 'node:timers/promises';

import {BUDGET_KEYS, keyOf, SESSION_KEYS} from '../gateway/keys.js';
import {ErrorReply, type Redis} from '../redis/contract.js';
import {inGroups} from '../values/chunks.js';
import {editDistance} from '../values/edit-distance.js';
import {idMatcher} from '../values/glob.js';
import {asHeaderGives, nameOf, type RawId, rawId} from '../values/session-id.js';

/** The ID that was probably meant by an unknown one. */
export interface Guess {
  name: string;
  /** True when it is the same ID as the gateway stores it from a header. */
  isFromHeader: boolean;
}

/** As a question; may hold untrusted text. */
export function describeGuesses(guesses: readonly Guess[]): string {
  const isFromHeader = guesses.some((guess) => guess.isFromHeader);
  const why = ' This is how the gateway stores that ID from an X-Session-ID header, whose bytes it reads as Latin-1.';
  return `Did you mean '${guesses.map(({name}) => name).join("', '")}'?${isFromHeader ? why : ''}`;
}

/** IDs in one flight. */
const CHUNK = 1000;
/** Milliseconds for a guess, as for a TAB: a guess is a courtesy, so a large keyspace is not scanned to its end. */
const GUESS_MS = 300;
/** Nobody types a longer ID, and comparing takes the square of its length. */
const MOST_TYPED = 200;

/** The IDs for which Redis holds no key at all, in the same order. */
export async function findUnknown(redis: Redis, ids: readonly RawId[]): Promise<RawId[]> {
  let unknown = [...ids];
  // Nearly all existing sessions have a budget, so few are left for the other keys.
  for (const shape of SESSION_KEYS) {
    const absent: RawId[] = [];
    for (const chunk of inGroups(unknown, CHUNK)) {
      const replies = await redis.pipeline(chunk.map((id) => ['EXISTS', keyOf(shape, id)]));
      for (const [index, id] of chunk.entries()) {
        const reply = replies[index];
        if (reply instanceof ErrorReply) throw redis.explain(reply);
        if (reply === 0) absent.push(id);
      }
    }
    unknown = absent;
  }
  return unknown;
}

/** The session with a budget that each ID probably meant, if there is one. Never throws. */
export async function guessIds(redis: Redis, typed: readonly RawId[]): Promise<Map<RawId, Guess>> {
  const sent = await findSentInHeaders(redis, typed).catch(() => new Map<RawId, Guess>());
  const near = await guessNearest(
    redis,
    typed.filter((id) => !sent.has(id)),
  );
  return new Map([...sent, ...near]);
}

/** The IDs that the gateway knows in the form in which it stores them from a header. */
async function findSentInHeaders(redis: Redis, typed: readonly RawId[]): Promise<Map<RawId, Guess>> {
  const changed = typed.filter((id) => asHeaderGives(id) !== id);
  const unknown = changed.length === 0 ? [] : await findUnknown(redis, changed.map(asHeaderGives));
  const known = changed.filter((id) => !unknown.includes(asHeaderGives(id)));
  return new Map(known.map((id) => [id, {name: nameOf(asHeaderGives(id)), isFromHeader: true}]));
}

async function guessNearest(redis: Redis, typed: readonly RawId[]): Promise<Map<RawId, Guess>> {
  const nearest = new Map<RawId, {name: string; distance: number}>();
  const words = typed
    .filter((id) => id.length <= MOST_TYPED)
    .map((id) => ({id, name: nameOf(id), lower: nameOf(id).toLowerCase(), limit: limitOf(id)}));
  if (words.length === 0) return new Map();
  await searchSessions(redis, (name) => {
    const lower = name.toLowerCase();
    for (const word of words) {
      const best = nearest.get(word.id);
      const limit = best?.distance ?? word.limit;
      if (Math.abs(lower.length - word.lower.length) > limit || name === word.name) continue;
      const distance = editDistance(word.lower, lower);
      if (distance > limit || (best?.distance === distance && best.name <= name)) continue;
      nearest.set(word.id, {name, distance});
    }
  });
  return new Map([...nearest].map(([id, {name}]) => [id, {name, isFromHeader: false}]));
}

export interface CountedSessions {
  count: number;
  /** False when there was no time to count them all. */
  isComplete: boolean;
  /** True when the glob matches a session. */
  isMatched: boolean;
  /** The first of the wider globs, in their order, that matches a session. */
  wider: string | undefined;
}

/**
 * Counts the sessions with a budget, and finds a wider glob that matches some where this one matches none. Never
 * throws.
 */
export async function countSessions(redis: Redis, text: string): Promise<CountedSessions> {
  const matches = idMatcher(text);
  let [count, isMatched, begins, contains] = [0, false, false, false];
  const isComplete = await searchSessions(redis, (name, id) => {
    count++;
    isMatched ||= matches(id);
    begins ||= name.startsWith(text);
    contains ||= name.includes(text);
  });
  const isPlain = text !== '' && !/[*?[\]\\]/.test(text);
  const wider = !isPlain ? undefined : begins ? `${text}*` : contains ? `*${text}*` : undefined;
  return {count, isComplete, isMatched, wider};
}

/** @returns false when time ran out, or Redis refused */
async function searchSessions(redis: Redis, visit: (name: string, id: RawId) => void): Promise<boolean> {
  const {prefix, suffix} = BUDGET_KEYS;
  const seen = new Set<string>();
  const over = new AbortController();
  const search = async (): Promise<boolean> => {
    for await (const keys of redis.scan(`${prefix}*${suffix}`)) {
      if (over.signal.aborted) return false;
      for (const key of keys) {
        const id = rawId(key.toString('latin1', prefix.length, key.length - suffix.length));
        if (id === '' || seen.has(id)) continue;
        seen.add(id);
        visit(nameOf(id), id);
      }
    }
    return true;
  };
  const timeout = wait(GUESS_MS, false, {ref: false, signal: over.signal}).catch(() => false);
  try {
    return await Promise.race([search().catch(() => false), timeout]);
  } finally {
    over.abort();
  }
}

/** The number of letters in which an ID may differ; a short one only in upper and lower case. */
function limitOf(id: RawId): number {
  return id.length < 4 ? 0 : Math.min(3, Math.max(1, Math.floor(id.length / 4)));
}
