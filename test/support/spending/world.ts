import fc from 'fast-check';

import {sendChanges} from '../../../src/lib/change/apply.js';
import type {Change, PlannedChange} from '../../../src/lib/change/change.js';
import {BUDGET_KEYS, keyOf, SPENT_KEYS, spentDayKey, unaccountedKey} from '../../../src/lib/gateway/keys.js';
import {type Journal, newChangeId} from '../../../src/lib/journal/entry.js';
import {setPeriodChange} from '../../../src/lib/operations/period.js';
import {renewChange} from '../../../src/lib/operations/renewal.js';
import {resetChange} from '../../../src/lib/operations/reset.js';
import {findChanges, undoChange} from '../../../src/lib/operations/undo.js';
import {makeCalendar} from '../../../src/lib/periods/calendar.js';
import type {Command, Redis} from '../../../src/lib/redis/contract.js';
import {readLedger} from '../../../src/lib/spending/ledger.js';
import {Decimal} from '../../../src/lib/values/decimal.js';
import {parseAmount} from '../../../src/lib/values/money.js';
import {nameOf, type RawId, rawId} from '../../../src/lib/values/session-id.js';

const IDS = ['a', 'b', '{team}:x', 'ä'].map((text) => rawId(Buffer.from(text).toString('latin1')));

/** Something that happens to a session. */
export interface Event {
  kind: 'spend' | 'reset' | 'reset-spent' | 'start-fresh' | 'renew' | 'undo' | 'write-back' | 'record';
  id: RawId;
  cents: number;
  /** Events while this host records, by the number of its flight. */
  meanwhile: Event[];
}

const simple = fc.record({
  kind: fc.constantFrom<Event['kind']>(
    ...(['spend', 'spend', 'spend', 'reset', 'reset-spent', 'start-fresh', 'renew', 'undo', 'write-back'] as const),
  ),
  id: fc.constantFrom(...IDS),
  cents: fc.integer({min: 1, max: 99_999_999}),
  meanwhile: fc.constant<Event[]>([]),
});
/** The other host, which records at the same time. */
const nested = simple.chain((event) =>
  fc.oneof({weight: 3, arbitrary: fc.constant(event)}, fc.constant({...event, kind: 'record' as const})),
);
const recording = fc.record({
  kind: fc.constant<Event['kind']>('record'),
  id: fc.constant(IDS[0]!),
  cents: fc.constant(0),
  meanwhile: fc.array(nested, {maxLength: 8}),
});

/** Any sequence of events. */
export const events = fc.array(fc.oneof({weight: 3, arbitrary: simple}, recording), {maxLength: 25});

/** A gateway that spends, and operators, with the true spending. */
export class World {
  /** The spending of each session since the first recording. */
  readonly truth = new Map<RawId, Decimal>();
  private readonly changes: string[] = [];

  constructor(
    private readonly redis: Redis,
    private readonly record: (redis: Redis) => Promise<unknown>,
  ) {}

  async happen({kind, id, cents, meanwhile}: Event): Promise<void> {
    if (kind === 'spend') await this.spend(id, cents);
    else if (kind === 'reset') await this.change(id, resetChange({keepBudget: false}));
    else if (kind === 'reset-spent') await this.change(id, resetChange({keepBudget: true}));
    else if (kind === 'start-fresh') await this.change(id, setPeriodChange(periodOf(new Date()), new Date(), true));
    else if (kind === 'renew')
      await this.change(id, renewChange(new Date(Date.now() + 40 * 86_400_000), makeCalendar()));
    else if (kind === 'undo') await this.undo(cents);
    else if (kind === 'write-back') await this.writeBack(id, cents);
    else await this.record(this.interrupted(meanwhile));
  }

  async spend(id: RawId, cents: number): Promise<void> {
    const amount = Decimal.of(cents).shift(-6);
    await this.write(id, (await this.read(id)).plus(amount));
    this.truth.set(id, (this.truth.get(id) ?? Decimal.of(0)).plus(amount));
  }

  /** The ledger's sum for each session. */
  async recorded(key = spentDayKey): Promise<Map<string, string>> {
    const sums = new Map<string, Decimal>();
    for (const day of (await readLedger(this.redis))?.days.keys() ?? []) {
      const [reply] = await this.redis.pipelineBytes([['HGETALL', key(day)]]);
      const list = (reply as Buffer[]).map((text) => text.toString('latin1'));
      for (let index = 0; index < list.length; index += 2) {
        const id = nameOf(rawId(list[index]!));
        sums.set(id, (sums.get(id) ?? Decimal.of(0)).plus(list[index + 1]!));
      }
    }
    return new Map([...sums].map(([id, sum]) => [id, sum.toString()]));
  }

  async unaccounted(): Promise<Map<string, string>> {
    return this.recorded(unaccountedKey);
  }

  /** A request reads the spending, a reset removes it, the request writes it back, and it is taken off again. */
  private async writeBack(id: RawId, cents: number): Promise<void> {
    const before = await this.read(id);
    if (before.eq(0)) return;
    const amount = Decimal.of(cents).shift(-6);
    await this.change(id, resetChange({keepBudget: true}));
    await this.write(id, before.plus(amount));
    this.truth.set(id, (this.truth.get(id) ?? Decimal.of(0)).plus(amount));
    if (cents % 2 === 0) await this.record(this.redis);
    await this.change(id, takeOff(before), this.changes.at(-1));
  }

  private async undo(choice: number): Promise<void> {
    const change = this.changes[choice % Math.max(1, this.changes.length)];
    if (change === undefined) return;
    const [recorded] = await findChanges(this.redis, [change]);
    const options = {now: new Date(), force: choice % 3 === 0, merge: choice % 2 === 0};
    const journal = {...newJournal(), undoes: change};
    const ids = [...recorded!.sessions.keys()];
    await this.send(ids, undoChange(recorded!, {...options, as: journal.change}), journal);
  }

  private async change<T>(id: RawId, change: Change<T>, as = newChangeId()): Promise<void> {
    await this.send([id], change, {...newJournal(), change: as});
  }

  private async send<T>(ids: readonly RawId[], change: Change<T>, journal: Journal): Promise<void> {
    const outcomes = await sendChanges(this.redis, ids, change, journal);
    const isDone = outcomes.some((outcome) => 'state' in outcome && outcome.state === 'done');
    if (isDone && !this.changes.includes(journal.change)) this.changes.push(journal.change);
  }

  private async read(id: RawId): Promise<Decimal> {
    return Decimal.of(((await this.redis.send(['GET', keyOf(SPENT_KEYS, id)])) as string | null) ?? '0');
  }

  private async write(id: RawId, amount: Decimal): Promise<void> {
    await this.redis.send(['SET', keyOf(SPENT_KEYS, id), amount.toString()]);
    await this.redis.send(['SET', keyOf(BUDGET_KEYS, id), '10.0', 'NX']);
  }

  /** The same Redis, with one of these events before each flight. */
  private interrupted(meanwhile: readonly Event[]): Redis {
    const left = [...meanwhile];
    const before = async (): Promise<void> => {
      const event = left.shift();
      if (event !== undefined) await this.happen(event);
    };
    const {redis} = this;
    return {
      ...redis,
      get cluster() {
        return redis.cluster;
      },
      server: redis.server,
      async pipeline(commands: readonly Command[]) {
        await before();
        return redis.pipeline(commands);
      },
      async pipelineBytes(commands: readonly Command[]) {
        await before();
        return redis.pipelineBytes(commands);
      },
    };
  }
}

export function newJournal(): Journal {
  return {change: newChangeId(), command: 'test', actor: 'me', reason: '', version: '1', limit: 100_000};
}

function takeOff(amount: Decimal): PlannedChange<null> {
  return {
    shapes: [SPENT_KEYS],
    lookAt: [SPENT_KEYS],
    preview: () => ({id: '', now: '', state: 'done'}),
    plan(id, [held]) {
      const left = Decimal.of(String(held)).minus(amount);
      if (held === false || left.lt(0)) return {id: nameOf(id), state: 'unchanged', result: null};
      return {state: 'write', expected: [held!], next: [left.eq(0) ? false : left.toString()], result: null};
    },
  };
}

export function periodOf(renewed: Date): Parameters<typeof setPeriodChange>[0] {
  const nothing = parseAmount('0');
  return {
    ...{every: 'day', timezone: 'UTC', at: '00:00', on: null, amount: parseAmount('50'), rollover: 'none'},
    ...{maxRollover: null, renewed, carried: nothing},
  };
}
