import {JOURNAL_KEY, keyName, type KeyShape} from '../../gateway/keys.js';
import type {Held} from '../../gateway/stored-value.js';
import {type Journal, type Stored, toFields} from '../../journal/entry.js';
import {APPEND_JOURNAL} from '../../lua/scripts.js';
import {type Command, ErrorReply, NoReply, type Redis, type RedisText} from '../../redis/contract.js';
import {inGroups} from '../../values/chunks.js';
import type {Work} from './steps.js';

/** An entry that announces a change. */
export interface Announced<T> {
  works: Work<T>[];
  /** Its ID in the stream. */
  entry: string;
}

/** Sessions in one entry. */
const GROUP = 50;

/** Announces a change in the journal. Where that fails, nothing is changed. Never rejects. */
export async function announce<T>(
  redis: Redis,
  works: readonly Work<T>[],
  shapes: readonly KeyShape[],
  journal: Journal,
): Promise<Announced<T>[]> {
  const groups = inGroups(works, GROUP);
  const [header, sessions] = [toFields(journal, shapes).slice(0, -1), 'sessions'];
  const commands = groups.map((group) => {
    const isAdding = group.some(({writes}) => writes.some(({next}) => next !== false));
    const records = jsonBytes(group.flatMap(toRecord));
    return addEntry(journal, isAdding, [...header, 'state', 'begun', sessions, records]);
  });
  const answers = await redis.units(commands.map((command) => [command]));
  return groups.flatMap((group, index): Announced<T>[] => {
    const answer = answers[index];
    if (Array.isArray(answer)) return [{works: group, entry: String(answer[0])}];
    const end = answer instanceof ErrorReply ? new ErrorReply(`JOURNAL ${answer.message}`) : answer;
    // Nothing was done to these sessions.
    for (const work of group) work.end = end instanceof NoReply ? new NoReply(end.error, false) : (end ?? 'moved');
    return [];
  });
}

function toRecord<T>({id, found, writes}: Work<T>): (Held | Stored)[] {
  return [
    id,
    ...found.flatMap(({shape, old}): (Held | Stored)[] => {
      const write = writes.find((one) => one.shape === shape);
      return write === undefined ? [old, true] : [write.state, write.next];
    }),
  ];
}

/**
 * Records in the journal what was done. If that fails, the entry stays announced, and its outcome is shown as unknown.
 */
export async function conclude<T>(redis: Redis, announced: readonly Announced<T>[], journal: Journal): Promise<void> {
  const commands = announced.map(({works, entry}) => {
    const isUnknown = ({end, doubt}: Work<T>): boolean => doubt !== undefined || (end instanceof NoReply && end.isSent);
    const others = works.filter((work) => work.end !== 'done' && !isUnknown(work));
    const only = others.map(({id, done}) => [id, ...done.map(({shape}) => keyName(shape))]);
    const unknown = works.filter(isUnknown).map(({id}) => id);
    const fields = {change: journal.change, completes: entry, only: jsonBytes(only), unknown: jsonBytes(unknown)};
    return addEntry(journal, false, Object.entries(fields).flat());
  });
  const answers = await redis.units(commands.map((command) => [command]));
  const failure = answers.find((answer) => !Array.isArray(answer));
  if (failure === undefined) return;
  const {message} = failure instanceof NoReply ? failure.error : redis.explain(failure as ErrorReply);
  redis.doubts.add(`The journal shows change ${journal.change} as not known to be complete: ${message}`);
}

function addEntry({limit}: Journal, isAdding: boolean, fields: readonly RedisText[]): Command {
  return ['EVAL', APPEND_JOURNAL, '1', JOURNAL_KEY, String(limit), isAdding ? 'add' : 'free', ...fields];
}

function jsonBytes(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value), 'latin1');
}
