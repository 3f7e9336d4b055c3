import {type Stored, toText} from '../../journal/entry.js';
import {type Command, ErrorReply, NoReply, orNoReply, type Redis} from '../../redis/contract.js';
import {inGroups} from '../../values/chunks.js';
import {nameOf, type RawId} from '../../values/session-id.js';
import type {Answer, Change, PlannedChange, ScriptedChange, Settled, Write} from '../change.js';
import {planAll} from '../plan.js';
import {type Found, ttlOf} from './read.js';
import type {KeyWrite} from './steps.js';

export type Decision<T> = Answer<T> | ErrorReply | {writes: KeyWrite[]; result: Settled<T>};

/** Sessions that one run of the script decides on. */
const GROUP = 50;

/** Decides on sessions that were read, as on one server: with the plan, or with the same Lua. Never rejects. */
export async function decideAll<T>(
  redis: Redis,
  ready: ReadonlyMap<RawId, readonly Found[]>,
  change: Change<T>,
): Promise<[RawId, Decision<T>][]> {
  if ('scripts' in change && change.plan === undefined) return decideByScript(redis, [...ready], change);
  const planned = change as PlannedChange<T>;
  const ids = [...ready.keys()];
  const values = [...ready.values()].map((found) => {
    const lives = (planned.lives ?? []).map((shape) => ttlOf(found.find((one) => one.shape === shape)));
    return {held: found.map(({old}) => old), lives};
  });
  const plans = await planAll(redis, planned, ids, values);
  return plans.map(([id, plan]) => {
    if (plan instanceof NoReply || plan.state !== 'write') return [id, plan];
    return [
      id,
      {writes: toWrites(ready.get(id) ?? [], plan), result: {id: nameOf(id), state: 'done', result: plan.result}},
    ];
  });
}

function toWrites<T>(found: readonly Found[], {expected, next}: Write<T>): KeyWrite[] {
  return found.flatMap((one, index): KeyWrite[] => {
    const after = next[index] ?? null;
    return after === null ? [] : [{...one, expected: expected[index] ?? null, next: after}];
  });
}

type Ready = readonly [RawId, readonly Found[]];

async function decideByScript<T>(
  redis: Redis,
  ready: readonly Ready[],
  change: ScriptedChange<T>,
): Promise<[RawId, Decision<T>][]> {
  const groups = inGroups(ready, GROUP);
  const replies = await orNoReply(redis.pipelineBytes(groups.map((group) => toDecision(group, change))));
  if (replies instanceof NoReply) return ready.map(([id]) => [id, replies]);
  return groups.flatMap((group, position): [RawId, Decision<T>][] => {
    const reply = replies[position];
    if (reply instanceof ErrorReply) return group.map(([id]) => [id, reply]);
    const decisions = JSON.parse((reply as Buffer).toString('latin1')) as [word: string, next: (Stored | true)[]][];
    return group.map(([id, found], index) => {
      const [word, next] = decisions[index] ?? ['', []];
      const texts = found.map(({old}) => (typeof old === 'string' ? toText(old) : old));
      const writes = found.flatMap((one, key): KeyWrite[] => {
        const after = next[key] ?? true;
        return after === true ? [] : [{...one, expected: one.old, next: after}];
      });
      const result = change.read(id, word, texts);
      if (result === undefined) throw new RangeError('neither a script nor a plan decides');
      return [id, {writes, result}];
    });
  });
}

function toDecision<T>(group: readonly Ready[], {scripts: {decide = ''}, args, own}: ScriptedChange<T>): Command {
  const olds = JSON.stringify(group.map(([, found]) => [found.map(({old}) => old), found.map(ttlOf)]));
  const owns = own === undefined ? [] : group.map(([id]) => own(id));
  return ['EVAL', decide, '0', String(args.length), String(owns.length), Buffer.from(olds, 'latin1'), ...args, ...owns];
}
