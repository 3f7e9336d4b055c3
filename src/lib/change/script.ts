import {JOURNAL_KEY, keysOf, STORE_KEY} from '../gateway/keys.js';
import type {Held} from '../gateway/stored-value.js';
import {type Journal, type Stored, toFields} from '../journal/entry.js';
import {type Command, type Consent, ErrorReply, type Redis} from '../redis/contract.js';
import {isKeyRefusal} from '../redis/failures.js';
import {inGroups} from '../values/chunks.js';
import type {RawId} from '../values/session-id.js';
import type {Answer, ScriptedChange} from './change.js';

/**
 * Sessions in one run of a script. A run for each session would cost more than the change itself; a run of more would
 * hold up the server for longer.
 */
const GROUP = 100;

/** Undefined where the script leaves the decision to `plan`; an `ErrorReply` where it was refused. */
export type ScriptAnswer<T> = Answer<T> | ErrorReply | undefined;

/** Changes sessions with scripts; each run takes a group of sessions. */
export async function runScripts<T>(
  redis: Redis,
  ids: readonly RawId[],
  change: ScriptedChange<T>,
  journal: Journal | undefined,
  size = GROUP,
): Promise<ScriptAnswer<T>[]> {
  const groups = inGroups(ids, size);
  const replies = await redis.units(groups.map((group) => [toScript(group, change, journal, redis.consent)]));
  const answers: ScriptAnswer<T>[] = [];
  for (const [index, group] of groups.entries()) {
    const reply = replies[index];
    if (Array.isArray(reply)) readAnswers(group, reply[0], change, answers);
    else answers.push(...group.map(() => reply));
  }
  if (size === 1 || !replies.some(isAboutKeys)) return answers;
  // One session that this user may not touch must not stop the others in its group.
  const beside = ids.filter((_, index) => isAboutKeys(answers[index]));
  if (beside.length < 2) return answers;
  const alone = (await runScripts(redis, beside, change, journal, 1)).values();
  return answers.map((answer) => (isAboutKeys(answer) ? alone.next().value : answer));
}

/** Reads the reply of a script: the word of each session, and its old values, if they were asked for. */
function readAnswers<T>(
  group: readonly RawId[],
  reply: unknown,
  change: ScriptedChange<T>,
  answers: ScriptAnswer<T>[],
): void {
  const [words = [], records, texts = []] = (reply as string[])
    .slice(0, 3)
    .map((text) => JSON.parse(text) as unknown[]);
  const width = Number((reply as unknown[])[3]);
  let at = 1;
  for (const [index, id] of group.entries()) {
    const decision = (words[index] ?? '') as string | [string, ...Held[]];
    const [word, ...rest] = typeof decision === 'string' ? [decision] : decision;
    if (typeof decision === 'string' && records !== undefined) {
      for (let key = 0; key < width; key++) rest.push(toOld(records[at + 2 * key] as Recorded, texts));
      at += 1 + 2 * width;
    }
    answers.push(change.read(id, word, rest));
  }
}

/** The value of a key in the journal; `true` for a value that is not text, a number for a text of the list. */
type Recorded = Stored | true | number;

function toOld(before: Recorded, texts: readonly unknown[]): Held {
  if (typeof before === 'number') return texts[before] as string;
  if (!Array.isArray(before)) return before;
  return before.length === 3 ? true : before[0];
}

function isAboutKeys(answer: unknown): boolean {
  return answer instanceof ErrorReply && isKeyRefusal(answer);
}

type Sent<T> = Pick<ScriptedChange<T>, 'shapes' | 'scripts' | 'args' | 'own' | 'pack' | 'rare' | 'tellsOld'>;

/** @param consent the given name of the store; without it the script accepts any */
export function toScript<T>(
  group: readonly RawId[],
  change: Sent<T>,
  journal: Journal | undefined,
  {to: agreed = ''}: Consent = {to: true},
): Command {
  const {shapes, scripts, own, rare, tellsOld = false} = change;
  const [first] = shapes;
  const keys = keysOf(rare === undefined ? shapes : shapes.slice(0, -1), group);
  const args = change.pack?.(group) ?? change.args;
  const owns = own === undefined ? [] : group.map(own);
  const header = journal === undefined ? [] : toFields(journal, shapes);
  const ofId = [first?.prefix.length ?? 0, first?.suffix.length ?? 0];
  const counts = [shapes.length, args.length, owns.length, ...ofId].map(String);
  const limit = journal === undefined ? '' : String(journal.limit);
  return [
    ...['EVAL', scripts.change, String(keys.length)],
    ...keys,
    ...counts,
    ...[tellsOld ? 'old' : '', limit, JOURNAL_KEY],
    ...(agreed === true ? ['', ''] : [STORE_KEY, agreed]),
    rare?.prefix ?? '',
    ...args,
    ...owns,
    ...header,
  ];
}
