import {
  BUDGET_KEYS,
  FREEZE_REASON_KEYS,
  FROZEN_UNTIL_KEYS,
  JOURNAL_KEY,
  keyName,
  keyOf,
  type KeyShape,
  keysOf,
  SPENT_KEYS,
} from '../gateway/keys.js';
import {type Held, toHeld} from '../gateway/stored-value.js';
import {type Journal, type Stored, toFields, toText} from '../journal/entry.js';
import {APPEND_JOURNAL, COMPARE_AND_SET, COMPARE_AND_SET_KEY} from '../lua/scripts.js';
import {slotOf} from '../redis/cluster/slots.js';
import {type Command, ErrorReply, NoReply, type Redis} from '../redis/contract.js';
import {isScriptRefusal} from '../redis/failures.js';
import {inGroups} from '../values/chunks.js';
import {TokengateError} from '../values/errors.js';
import {nameOf, type RawId} from '../values/session-id.js';
import {
  type Change,
  explainRefusal,
  MAX_TRIES,
  type PlannedChange,
  prepare,
  type ScriptedChange,
  type Settled,
  toScript,
} from './change.js';

/** Sessions of one entry of the journal, and of one run of the script that decides. */
const GROUP = 50;

/** What one key held when it was read. */
interface Found {
  old: Held;
  /** With its TTL; a DUMP when it is no text. */
  state: Stored;
}

/** What is to become of one key. */
interface KeyWrite extends Found {
  /** The number of its shape. */
  index: number;
  /** Null when it does not matter. */
  expected: Held | null;
  next: Stored;
}

/** The change of one session, in one attempt. */
interface Work<T> {
  id: RawId;
  found: readonly Found[];
  writes: readonly KeyWrite[];
  /** In this order; the keys of one step are in one slot, and written in one atomic step. */
  steps: readonly (readonly KeyWrite[])[];
  result: Settled<T>;
  /** Of this attempt. */
  done: KeyWrite[];
  /** Set when a step has got no answer, and stands there as wanted: it may have been somebody else. */
  doubt: NoReply | undefined;
  end: 'open' | 'done' | 'moved' | ErrorReply | NoReply;
}

/**
 * Changes sessions whose keys are on several nodes, which no script can change in one step. What stands there is read; the
 * same Lua as ever decides on it; the journal gets an entry of what is about to be done; then key after key is written if
 * it still holds what was read, in an order in which no interruption gives money away; at last the journal is told what of
 * it was done. A session that has changed in between is read and decided on again. Keys that share a slot, as all do whose
 * ID has a hash tag, are written in one atomic step.
 *
 * Never rejects: for each session what became of it, or `NoReply`.
 */
export async function changeOnCluster<T>(
  redis: Redis,
  ids: readonly RawId[],
  change: Change<T>,
  journal: Journal | undefined,
): Promise<(Settled<T> | NoReply)[]> {
  const outcomes = new Map<RawId, Settled<T> | NoReply>();
  /** By session what those of its keys held that were changed already. */
  const changed = new Map<RawId, Map<number, Found>>(ids.map((id) => [id, new Map<number, Found>()]));
  const doubtful = new Map<RawId, NoReply>();
  let open: readonly RawId[] = [...changed.keys()];
  /** When the first of its entries was written, which later ones tell: whoever reads back from them looks for it. */
  let began = journal?.began;
  for (let tries = 0; tries < MAX_TRIES && open.length > 0; tries++) {
    const readings = await read(redis, open, change.shapes);
    const ready: {id: RawId; found: Found[]}[] = [];
    for (const [index, id] of open.entries()) {
      const reading = readings[index];
      const before = changed.get(id);
      if (reading instanceof NoReply) outcomes.set(id, new NoReply(reading.error, before?.size !== 0));
      else if (reading instanceof ErrorReply)
        outcomes.set(id, refused(redis, id, change.shapes, before, reading, journal));
      // It is decided as at first: what was done already stays done.
      else if (reading) ready.push({id, found: reading.map((found, key) => before?.get(key) ?? found)});
    }
    const works: Work<T>[] = [];
    for (const [index, decision] of (await decide(redis, ready, change, journal)).entries()) {
      const {id, found} = ready[index] ?? {};
      if (id === undefined || found === undefined) continue;
      if (!('writes' in decision)) {
        outcomes.set(id, decision);
        continue;
      }
      const writes = decision.writes.filter((write) => !changed.get(id)?.has(write.index));
      if (writes.length === 0) outcomes.set(id, decision.result);
      else
        works.push({
          id,
          found,
          writes,
          steps: toSteps(id, writes, change.shapes),
          result: decision.result,
          done: [],
          doubt: undefined,
          end: 'open',
        });
    }
    const first = await carryOut(redis, works, change.shapes, journal && {...journal, began});
    began ??= first;
    for (const {id, done, end, doubt, result} of works) {
      const before = changed.get(id);
      for (const write of done) before?.set(write.index, write);
      if (doubt !== undefined) doubtful.set(id, doubt);
      if (end === 'done') outcomes.set(id, doubtful.get(id) ?? result);
      else if (end instanceof NoReply) outcomes.set(id, new NoReply(end.error, end.isSent || before?.size !== 0));
      else if (end instanceof ErrorReply) outcomes.set(id, refused(redis, id, change.shapes, before, end, journal));
    }
    open = works.filter(({end}) => end === 'moved').map(({id}) => id);
  }
  for (const id of open)
    outcomes.set(id, incomplete(id, change.shapes, changed.get(id), 'CONTENDED', 'it keeps changing.'));
  return ids.map((id) => {
    const outcome = outcomes.get(id);
    if (outcome === undefined) throw new RangeError('a session has no outcome');
    return outcome;
  });
}

/** What stands there, with all that is needed to put it back. Never rejects. */
async function read(
  redis: Redis,
  ids: readonly RawId[],
  shapes: readonly KeyShape[],
): Promise<(Found[] | ErrorReply | NoReply)[]> {
  try {
    const keys = keysOf(shapes, ids);
    const replies = await redis.pipelineBytes(
      keys.flatMap((key) => [
        ['GET', key],
        ['PTTL', key],
      ]),
    );
    const isNoText = (reply: unknown): boolean => reply instanceof ErrorReply && reply.message.includes('WRONGTYPE');
    const others = keys.filter((_, index) => isNoText(replies[2 * index]));
    const dumps = (others.length === 0 ? [] : await redis.pipelineBytes(others.map((key) => ['DUMP', key]))).values();
    return ids.map((_, position) => {
      const found = shapes.map((_shape, index): Found | ErrorReply => {
        const at = 2 * (position * shapes.length + index);
        const [value, life] = [replies[at], replies[at + 1]];
        if (life instanceof ErrorReply) return life;
        const ttl = Number(life);
        if (isNoText(value)) {
          const dump: unknown = dumps.next().value;
          if (dump instanceof ErrorReply) return dump;
          return {old: true, state: [Buffer.isBuffer(dump) ? dump.toString('latin1') : '', ttl, 'dump']};
        }
        if (value instanceof ErrorReply) return value;
        if (!Buffer.isBuffer(value)) return {old: false, state: false};
        const text = value.toString('latin1');
        return {old: text, state: ttl < 0 ? text : [text, ttl]};
      });
      return found.find((one) => one instanceof ErrorReply) ?? (found as Found[]);
    });
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    return ids.map(() => new NoReply(error, false));
  }
}

type Decision<T> = Settled<T> | NoReply | {writes: KeyWrite[]; result: Settled<T>};

async function decide<T>(
  redis: Redis,
  ready: readonly {id: RawId; found: readonly Found[]}[],
  change: Change<T>,
  journal: Journal | undefined,
): Promise<Decision<T>[]> {
  if (!('scripts' in change) || change.plan !== undefined) {
    const planned = change as PlannedChange<T>;
    const trouble = await prepare(redis, planned);
    return ready.map(({id, found}) => trouble ?? plan(id, found, planned));
  }
  const groups = inGroups(ready, GROUP);
  const answers = await redis
    .pipelineBytes(groups.map((group) => toDecision(group, change)))
    .catch((error: unknown) => {
      if (!(error instanceof TokengateError)) throw error;
      return groups.map(() => new NoReply(error, false));
    });
  return groups.flatMap((group, position): Decision<T>[] => {
    const answer = answers[position];
    if (answer instanceof NoReply) return group.map(() => answer);
    if (answer instanceof ErrorReply) {
      const error = explainOnCluster(redis, answer, journal);
      return group.map(({id}) => ({id: nameOf(id), state: 'failed', error}));
    }
    const decisions = JSON.parse((answer as Buffer).toString('latin1')) as [word: string, next: (Stored | true)[]][];
    return group.map(({id, found}, index): Decision<T> => {
      const [word, next] = decisions[index] ?? ['', []];
      const texts = found.map(({old}) => (typeof old === 'string' ? toText(old) : old));
      const writes = found.flatMap((one, key): KeyWrite[] => {
        const after = next[key] ?? true;
        return after === true ? [] : [{...one, index: key, expected: one.old, next: after}];
      });
      const result = change.read(id, word, texts);
      if (result === undefined) throw new RangeError('neither a script nor a plan decides');
      return {writes, result};
    });
  });
}

function plan<T>(id: RawId, found: readonly Found[], change: PlannedChange<T>): Decision<T> {
  const lives = (change.lives ?? []).map((shape) => ttlOf(found[change.shapes.indexOf(shape)]));
  const outcome = change.plan(
    id,
    found.map(({old}) => old),
    lives,
  );
  if (outcome.state !== 'write') return outcome;
  const {expected, next, result} = outcome;
  const writes = found.flatMap((one, index): KeyWrite[] => {
    const after = next[index] ?? null;
    return after === null ? [] : [{...one, index, expected: expected[index] ?? null, next: after}];
  });
  return {writes, result: {id: nameOf(id), state: 'done', result}};
}

function toDecision<T>(
  group: readonly {id: RawId; found: readonly Found[]}[],
  {scripts: {decide = ''}, args, own}: ScriptedChange<T>,
): Command {
  const olds = JSON.stringify(group.map(({found}) => [found.map(({old}) => old), found.map(ttlOf)]));
  const owns = own === undefined ? [] : group.map(({id}) => own(id));
  return ['EVAL', decide, '0', String(args.length), String(owns.length), Buffer.from(olds, 'latin1'), ...args, ...owns];
}

/** -1 for a key without a TTL, or none. */
function ttlOf(found: Found | undefined): number {
  return Array.isArray(found?.state) ? found.state[1] : -1;
}

/**
 * What an interruption may leave: a session is rather frozen without its reason than not frozen, and what was spent
 * rather stands there without a budget than is forgotten while there is one.
 */
function rankOf(shape: KeyShape, next: Stored): number {
  const isRemoved = next === false;
  if (shape === SPENT_KEYS) return isRemoved ? 9 : 0;
  if (shape === FREEZE_REASON_KEYS) return isRemoved ? 8 : 2;
  if (shape === FROZEN_UNTIL_KEYS) return isRemoved ? 7 : 1;
  return shape === BUDGET_KEYS ? 5 : 4;
}

function toSteps(id: RawId, writes: readonly KeyWrite[], shapes: readonly KeyShape[]): KeyWrite[][] {
  const bySlot = new Map<number, {rank: number; writes: KeyWrite[]}>();
  for (const write of writes) {
    const shape = shapes[write.index] ?? BUDGET_KEYS;
    const slot = slotOf(keyOf(shape, id));
    const step = bySlot.get(slot) ?? {rank: 0, writes: []};
    bySlot.set(slot, {rank: Math.max(step.rank, rankOf(shape, write.next)), writes: [...step.writes, write]});
  }
  return [...bySlot.values()].sort((a, b) => a.rank - b.rank).map((step) => step.writes);
}

/** Returns when the first entry was written. */
async function carryOut<T>(
  redis: Redis,
  works: Work<T>[],
  shapes: readonly KeyShape[],
  journal: Journal | undefined,
): Promise<Date | undefined> {
  const entries = journal === undefined ? [] : await announce(redis, works, shapes, journal);
  const count = Math.max(0, ...works.map(({steps}) => steps.length));
  for (let number = 0; number < count; number++) {
    const some = works.filter(({end, steps}) => end === 'open' && steps.length > number);
    const answers = await redis.units(some.map(({id, steps}) => [toStep(id, steps[number] ?? [], shapes)]));
    for (const [index, work] of some.entries()) {
      const answer = answers[index];
      if (!Array.isArray(answer)) {
        work.end = answer ?? 'moved';
        continue;
      }
      const [word] = JSON.parse(String(answer[0])) as [string];
      if (word === 'done') work.done.push(...(work.steps[number] ?? []));
      else work.end = 'moved';
    }
    await lookAgain(redis, some, number, shapes);
  }
  for (const work of works) if (work.end === 'open') work.end = 'done';
  if (journal !== undefined) await conclude(redis, entries, shapes, journal);
  const [first] = entries;
  return first && new Date(Number.parseInt(first.entry));
}

/**
 * Looks at what a step that has got no answer has left, on the node that has taken over. As wanted: the next step follows,
 * so that no session stays halfway, but it remains unknown whose work it was. As before: it is tried again, which can't do
 * it twice. Never rejects.
 */
async function lookAgain<T>(
  redis: Redis,
  works: readonly Work<T>[],
  number: number,
  shapes: readonly KeyShape[],
): Promise<void> {
  // After a timeout there is no time left.
  const lost = works.filter(
    ({end}) => end instanceof NoReply && end.isSent && end.error.code === 'REDIS_CONNECTION_LOST',
  );
  if (lost.length === 0) return;
  const stepOf = ({steps}: Work<T>): readonly KeyWrite[] => steps[number] ?? [];
  const commands = lost.flatMap((work) =>
    stepOf(work).map(({index}): Command => ['GET', keyOf(shapes[index] ?? BUDGET_KEYS, work.id)]),
  );
  let replies: IterableIterator<unknown>;
  try {
    replies = (await redis.pipelineBytes(commands)).values();
  } catch (error) {
    if (!(error instanceof TokengateError)) throw error;
    return;
  }
  for (const work of lost) {
    const step = stepOf(work);
    const now = step.map(() => {
      const reply: unknown = replies.next().value;
      return reply instanceof ErrorReply || toHeld(redis, reply);
    });
    const isAsBefore = step.every(({old}, index) => now[index] === old);
    const isAsWanted = step.every(({next}, index) => now[index] === (Array.isArray(next) ? next[0] : next));
    if (isAsBefore && !isAsWanted) work.end = 'moved';
    if (!isAsWanted || !(work.end instanceof NoReply)) continue;
    work.doubt = work.end;
    work.done.push(...step);
    work.end = 'open';
  }
}

function toStep(id: RawId, writes: readonly KeyWrite[], shapes: readonly KeyShape[]): Command {
  const keys = writes.map(({index}) => shapes[index] ?? BUDGET_KEYS);
  const [key, ...others] = keys;
  const plan = [writes.map(({expected}) => expected), writes.map(({next}) => next)];
  if (key !== undefined && others.length === 0) {
    return ['EVAL', COMPARE_AND_SET_KEY, '1', keyOf(key, id), Buffer.from(JSON.stringify(plan.flat()), 'latin1')];
  }
  const own = Buffer.from(JSON.stringify(plan), 'latin1');
  return toScript([id], {shapes: keys, scripts: {change: COMPARE_AND_SET}, args: [], own: () => own}, undefined);
}

interface Entry<T> {
  works: Work<T>[];
  /** Its ID in the stream. */
  entry: string;
}

/** Writes into the journal what is about to be done. Where that fails nothing is. */
async function announce<T>(
  redis: Redis,
  works: Work<T>[],
  shapes: readonly KeyShape[],
  journal: Journal,
): Promise<Entry<T>[]> {
  const groups = inGroups(works, GROUP);
  const [header, sessions] = [toFields(journal, shapes).slice(0, -1), 'sessions'];
  const commands = groups.map((group) => {
    const records = group.flatMap(({id, found, writes}) => [
      id,
      ...found.flatMap(({old}, index): (Held | Stored)[] => {
        const write = writes.find((one) => one.index === index);
        return write === undefined ? [old, true] : [write.state, write.next];
      }),
    ]);
    const isAdding = group.some(({writes}) => writes.some(({next}) => next !== false));
    const json = Buffer.from(JSON.stringify(records), 'latin1');
    return addEntry(journal, isAdding, [...header, 'state', 'begun', sessions, json]);
  });
  const answers = await redis.units(commands.map((command) => [command]));
  return groups.flatMap((group, index): Entry<T>[] => {
    const answer = answers[index];
    if (Array.isArray(answer)) return [{works: group, entry: String(answer[0])}];
    const end = answer instanceof ErrorReply ? new ErrorReply(`JOURNAL ${answer.message}`) : answer;
    // Nothing was done to the sessions.
    for (const work of group) work.end = end instanceof NoReply ? new NoReply(end.error, false) : (end ?? 'moved');
    return [];
  });
}

/** Tells the journal what of it was done. An entry for which that fails is shown as not known to be complete. */
async function conclude<T>(
  redis: Redis,
  entries: readonly Entry<T>[],
  shapes: readonly KeyShape[],
  journal: Journal,
): Promise<void> {
  const commands = entries.map(({works, entry}) => {
    const isUnknown = ({end, doubt}: Work<T>): boolean => doubt !== undefined || (end instanceof NoReply && end.isSent);
    const others = works.filter((work) => work.end !== 'done' && !isUnknown(work));
    const only = others.map(({id, done}) => [id, ...done.map(({index}) => keyName(shapes[index] ?? BUDGET_KEYS))]);
    const unknown = works.filter(isUnknown).map(({id}) => id);
    const toBytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value), 'latin1');
    const fields = ['change', journal.change, 'completes', entry, 'only', toBytes(only), 'unknown', toBytes(unknown)];
    return addEntry(journal, false, fields);
  });
  const answers = await redis.units(commands.map((command) => [command]));
  const failure = answers.find((answer) => !Array.isArray(answer));
  if (failure === undefined) return;
  const {message} = failure instanceof NoReply ? failure.error : redis.explain(failure as ErrorReply);
  redis.cluster?.doubts.add(`The journal shows change ${journal.change} as not known to be complete: ${message}`);
}

function addEntry({limit}: Journal, isAdding: boolean, fields: readonly (string | Buffer)[]): Command {
  return ['EVAL', APPEND_JOURNAL, '1', JOURNAL_KEY, String(limit), isAdding ? 'add' : 'free', ...fields];
}

function refused(
  redis: Redis,
  id: RawId,
  shapes: readonly KeyShape[],
  changed: ReadonlyMap<number, Found> | undefined,
  reply: ErrorReply,
  journal: Journal | undefined,
): Settled<never> {
  const error = explainOnCluster(redis, reply, journal);
  if (changed === undefined || changed.size === 0) return {id: nameOf(id), state: 'failed', error};
  return incomplete(id, shapes, changed, 'CHANGE_INCOMPLETE', error.message);
}

/** Without scripts nothing could compare and set, so that here they are always needed. */
function explainOnCluster(redis: Redis, reply: ErrorReply, journal: Journal | undefined): TokengateError {
  const bare = new ErrorReply(reply.message.replace(/^JOURNAL /, ''));
  if (!isScriptRefusal(bare)) return explainRefusal(redis, reply, journal);
  const {code, message} = redis.explain(bare);
  return new TokengateError(code, message, {
    hint: 'Every change on a Cluster needs scripts (EVAL), with or without the journal. Nothing was changed.',
    cause: reply,
  });
}

/** Says of a change that could not be finished which keys were changed, and what they held. */
function incomplete(
  id: RawId,
  shapes: readonly KeyShape[],
  changed: ReadonlyMap<number, Found> | undefined,
  code: string,
  why: string,
): Settled<never> {
  const told = [...(changed ?? [])].map(([index, {old}]) => {
    const was = typeof old === 'string' ? `'${toText(old)}'` : old ? 'no text' : 'none';
    return `${keyName(shapes[index] ?? BUDGET_KEYS)} (it was ${was})`;
  });
  const what = told.length === 0 ? 'Nothing was changed.' : `Only this was changed: ${told.join(', ')}.`;
  return {id: nameOf(id), state: 'failed', error: new TokengateError(code, `${why} ${what}`)};
}
