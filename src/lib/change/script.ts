import {JOURNAL_KEY, keysOf, STORE_KEY} from '../gateway/keys.js';
import type {Held} from '../gateway/stored-value.js';
import {type Journal, toFields} from '../journal/entry.js';
import {type Command, type Consent, ErrorReply, type Redis} from '../redis/contract.js';
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
  const width = 1 + change.shapes.length;
  const answers = groups.flatMap((group, index): ScriptAnswer<T>[] => {
    const reply = replies[index];
    if (!Array.isArray(reply)) return group.map(() => reply);
    const decisions = JSON.parse(String(reply[0])) as (string | Held)[];
    return group.map((id, position) => {
      const at = position * width;
      return change.read(id, decisions[at] as string, decisions.slice(at + 1, at + width));
    });
  });
  // One session that this user may not touch must not stop the others in its group.
  const beside = size === 1 ? [] : ids.filter((_, index) => isAboutKeys(answers[index]));
  if (beside.length < 2) return answers;
  const alone = (await runScripts(redis, beside, change, journal, 1)).values();
  return answers.map((answer) => (isAboutKeys(answer) ? alone.next().value : answer));
}

function isAboutKeys(answer: unknown): boolean {
  return answer instanceof ErrorReply && /^NOPERM.* key/is.test(answer.message);
}

/** @param consent the given name of the store; without it the script accepts any */
export function toScript<T>(
  group: readonly RawId[],
  {shapes, scripts, args, own}: Pick<ScriptedChange<T>, 'shapes' | 'scripts' | 'args' | 'own'>,
  journal: Journal | undefined,
  {to: agreed = ''}: Consent = {to: true},
): Command {
  const [first] = shapes;
  const keys = keysOf(shapes, group);
  const owns = own === undefined ? [] : group.map(own);
  const header = journal === undefined ? [] : toFields(journal, shapes);
  const ofId = [first?.prefix.length ?? 0, first?.suffix.length ?? 0];
  const counts = [shapes.length, args.length, owns.length, ...ofId].map(String);
  const limit = journal === undefined ? '' : String(journal.limit);
  return [
    ...['EVAL', scripts.change, String(keys.length)],
    ...keys,
    ...counts,
    ...[limit, JOURNAL_KEY],
    ...(agreed === true ? ['', ''] : [STORE_KEY, agreed]),
    ...args,
    ...owns,
    ...header,
  ];
}
