import type {Command, Interfaces} from '@oclif/core';

import {previewBatch, runBatch} from '../../lib/change/batch.js';
import type {Change} from '../../lib/change/change.js';
import type {KeyShape} from '../../lib/gateway/keys.js';
import type {Journal} from '../../lib/journal/entry.js';
import type {SecondLook} from '../../lib/operations/lasting.js';
import {SecondLooks} from '../../lib/operations/second-look.js';
import {refuseReplica} from '../../lib/redis/connect.js';
import type {Redis} from '../../lib/redis/contract.js';
import {serverTime} from '../../lib/redis/server-time.js';
import {parseFilter} from '../../lib/sessions/filter.js';
import {isEmpty, type Selected, selectIds, type Selection} from '../../lib/sessions/select.js';
import {describeGuesses, findUnknown, guessIds} from '../../lib/sessions/unknown-ids.js';
import {TokengateError} from '../../lib/values/errors.js';
import {nameOf, type RawId, rawId} from '../../lib/values/session-id.js';
import {parseDuration} from '../../lib/values/time.js';
import {BatchReport} from '../batches/batch-report.js';
import {askAboutSteps, NAMED, namesOf} from '../batches/questions.js';
import {readStdin} from '../terminal/input.js';
import {onInterrupt} from '../terminal/interrupts.js';
import {showProgress} from '../terminal/progress.js';
import {confirmationRequired} from '../terminal/prompts.js';
import {capitalize, countOf} from '../text/words.js';
import {readIds} from '../views/id-lines.js';
import {BaseCommand} from './base-command.js';
import type {batchFlags, globalFlags} from './flags.js';

/** What a command does to each session of a batch, and the words for it. */
export interface BatchAction<R> extends BatchWording<R> {
  /** The kind of key that makes a session count among all. */
  universe: KeyShape;
  change: (now: Date) => Change<R>;
  /** The journal's reason without --note. */
  reason?: string;
  /**
   * How to treat named IDs of which Redis holds nothing. `refuse`: nobody means to freeze a session that never existed.
   */
  onUnknown?: 'refuse' | 'mark';
}

export interface BatchWording<R> {
  /** As in "reset 3 sessions?" and "would reset". */
  verb: string;
  /** Replaces the verb at the start of the question, once it is known what will be done. */
  question?: string | (() => string);
  /** As in "Session 'x' reset". */
  done: string;
  /** What was done to a session, for people; may hold untrusted text. */
  describe: (result: R) => string;
  /** Warnings about a session; may hold untrusted text. */
  problems?: (result: R) => readonly string[];
  toJson: (result: R) => Record<string, unknown>;
  /** False for a command that carries out an earlier decision, from cron: nothing is asked. */
  asks?: boolean;
  /** True for a command that cron runs often: with --quiet it prints nothing when there is nothing to do. */
  isSilentWhenNone?: boolean;
  /** Looks whether the changes last; null for no look. */
  secondLook?: SecondLook<R> | null;
}

/** A part of a command's work: one change of some sessions. */
export interface BatchStep<R> {
  selected: Selected;
  change: (now: Date) => Change<R>;
  journal: Journal | undefined;
  /** How many sessions need no change; they are only counted. */
  same?: number;
  /** More JSON fields of every result. */
  facts?: Record<string, unknown>;
  /** The JSON field of a result that shows the change's ID. */
  changeField?: string;
  /** The selected sessions that Redis knows nothing about. */
  unknown?: ReadonlySet<RawId>;
  /** What the missing IDs may have meant. */
  hint?: string | undefined;
}

type BatchFlags = Interfaces.InferredFlags<typeof batchFlags & typeof globalFlags>;

/** How long an interrupted batch still looks whether its changes last. */
const INTERRUPTED_MS = 700;
/** Up to this many consecutive words are tried as one ID whose quotes were forgotten. */
const MOST_WORDS = 8;

/** A command that changes one session, or many in one go. */
export abstract class BatchCommand<T extends typeof Command> extends BaseCommand<T> {
  /** The only session that is named, if nothing else selects sessions. */
  protected get single(): RawId | undefined {
    const [id, ...more] = this.ids;
    const {match, where, idle, stdin, null: nul, all, max, format, 'dry-run': dryRun} = this.batchFlags;
    const isBatch =
      match !== undefined ||
      where !== undefined ||
      idle !== undefined ||
      stdin ||
      nul ||
      all ||
      dryRun ||
      max !== undefined;
    return more.length > 0 || isBatch || format === 'ndjson' ? undefined : id;
  }

  /** Changes all selected sessions, after a question, and reports the outcome of each. */
  protected async changeMany<R>(action: BatchAction<R>): Promise<void> {
    const selection = await this.readSelection();
    const journal = this.journal(action.reason);
    await this.runSteps(action, async (redis, now) => {
      const selected = await this.onlyIdle(redis, now, await selectIds(redis, selection, action.universe, now));
      if (selected.ids.length + selected.missing.length === 0) await this.adviseGlob();
      this.warnOfLeftOut(selected);
      const doubts = action.onUnknown === undefined ? {selected} : await this.judge(redis, selected, action.onUnknown);
      return [{...doubts, change: action.change, journal: journal && {...journal, began: now}}];
    });
  }

  /** Whoever types an ID beside a filter may expect that the session is changed in any case. */
  private warnOfLeftOut({ids, missing}: Selected): void {
    if (this.ids.length === 0) return;
    const found = new Set([...ids, ...missing]);
    const leftOut = this.ids.filter((id) => !found.has(id)).map((id) => `'${nameOf(id)}'`);
    if (leftOut.length === 0) return;
    const filters = (['match', 'where', 'idle'] as const).filter((name) => this.batchFlags[name] !== undefined);
    this.warnAll([`Left out by ${filters.map((name) => `--${name}`).join(' or ')}: ${namesOf(leftOut)}.`]);
  }

  /** With --idle, keeps only the idle ones of the selected sessions. */
  private async onlyIdle(redis: Redis, now: Date, selected: Selected): Promise<Selected> {
    const {idle} = this.batchFlags;
    if (idle === undefined) return selected;
    const {openIdle} = await import('../../lib/spending/idle.js');
    const findIdle = await openIdle(redis, parseDuration(idle), now);
    return {...selected, ids: await findIdle(selected.ids)};
  }

  /** Decides about named sessions of which Redis holds nothing. */
  private async judge(
    redis: Redis,
    {ids, missing}: Selected,
    onUnknown: 'refuse' | 'mark',
  ): Promise<Pick<BatchStep<unknown>, 'selected' | 'unknown' | 'hint'>> {
    const {match, where, stdin, all} = this.batchFlags;
    const unknown = new Set(await findUnknown(redis, ids));
    const isAlone = this.ids.length === 1 && !stdin && !all && match === undefined && where === undefined;
    if (unknown.size === 0 || isAlone || onUnknown === 'mark') return {selected: {ids, missing}, unknown};
    return {
      selected: {ids: ids.filter((id) => !unknown.has(id)), missing: [...missing, ...unknown]},
      hint: `${await guessMeant(redis, this.ids, [...unknown])}--allow-unknown freezes them anyway.`,
    };
  }

  /** Finds out what to do, asks, does it, and reports the outcome of each session. */
  protected async runSteps<R>(
    action: BatchWording<R>,
    find: (redis: Redis, now: Date) => Promise<BatchStep<R>[]>,
  ): Promise<void> {
    const {max, quiet, 'dry-run': dryRun} = this.batchFlags;
    const isDecided = action.asks === false;
    if (!dryRun) this.beginChange({isDecided});
    if (!dryRun && !isDecided) this.refuseWithoutAnswer();
    const redis = await this.connect();
    const asks = !dryRun && !isDecided && this.mustAsk(redis.server);
    const now = await serverTime(redis);
    const steps = await find(redis, now);
    const count = steps.reduce((sum, {selected: {ids, missing}}) => sum + ids.length + missing.length, 0);
    if (max !== undefined && count > max) {
      const message = `This would ${action.verb} ${countOf(count, 'session')}, more than --max ${max}.`;
      throw new TokengateError('BATCH_TOO_LARGE', `${message} Nothing was changed.`);
    }
    const format = this.jsonEnabled() ? 'json' : (this.batchFlags.format ?? 'text');
    if (count === 0 && quiet && action.isSilentWhenNone && format === 'text') return;
    const report = new BatchReport<R>(action, {format, quiet, dryRun});
    if (dryRun) {
      await report.open();
      for (const {selected, change, same = 0, facts, changeField, hint} of steps) {
        const more = {facts, changeField};
        report.addSame(same);
        await report.addMissing(selected.missing.map(nameOf), {...more, hint});
        for await (const previews of previewBatch(redis, selected.ids, change(now))) {
          await report.addPreviews(previews, more);
        }
      }
      await report.close();
      return;
    }
    if (!asks || steps.every(({selected}) => selected.ids.length === 0)) {
      await this.changeSelected(redis, now, steps, action, report);
      return;
    }
    const {question: begin = capitalize(action.verb)} = action;
    const question = askAboutSteps(typeof begin === 'string' ? begin : begin(), steps, redis.server);
    // The server would close a connection that waits for a person.
    redis.close();
    await this.confirm(question, redis.server);
    const fresh = await this.connect();
    await this.changeSelected(fresh, await serverTime(fresh), steps, action, report);
  }

  private async changeSelected<R>(
    redis: Redis,
    now: Date,
    steps: readonly BatchStep<R>[],
    {secondLook}: BatchWording<R>,
    report: BatchReport<R>,
  ): Promise<void> {
    refuseReplica(redis);
    const stop = new AbortController();
    let isInterrupted = false as boolean;
    onInterrupt(() => {
      isInterrupted = true;
      stop.abort();
    });
    const total = steps.reduce((sum, {selected}) => sum + selected.ids.length, 0);
    const progress = showProgress(total, {isQuiet: report.isQuiet});
    /** The changes that something was recorded under. */
    const changes = new Set<Journal | undefined>();
    const looks =
      secondLook &&
      new SecondLooks(redis, secondLook, async (sightings) => {
        progress.hide();
        await report.addSightings(sightings);
      });
    try {
      await report.open();
      let count = 0;
      for (const {selected, change, journal, same = 0, facts, changeField, hint} of steps) {
        const more = {facts, changeField, change: journal?.change};
        report.addSame(same);
        await report.addMissing(selected.missing.map(nameOf), {...more, hint});
        for await (const outcomes of runBatch(redis, selected.ids, change(now), {journal, stop: stop.signal})) {
          progress.hide();
          await report.add(outcomes, more);
          if (report.isClosed) stop.abort();
          if (outcomes.some(({state}) => state === 'done')) changes.add(journal);
          if (looks) {
            const results = outcomes.flatMap((outcome) => (outcome.state === 'done' ? [outcome.result] : []));
            looks.add(results, journal);
            looks.begin();
          }
          await progress.update((count += outcomes.length));
        }
        if (report.isCutShort) stop.abort();
      }
      await (isInterrupted ? looks?.finishWithin(INTERRUPTED_MS) : looks?.finish());
    } finally {
      await looks?.stop();
      progress.stop();
    }
    try {
      await report.close();
    } finally {
      if (!report.isQuiet) this.afterChange(...changes);
    }
  }

  private async readSelection(): Promise<Selection> {
    const {match, where, idle, stdin, null: nul, all, 'dry-run': dryRun} = this.batchFlags;
    if (nul && !stdin) throw new TokengateError('INVALID_USAGE', '-0 goes with --stdin.');
    const named: Selection = {ids: this.ids, all, match, where: where === undefined ? undefined : parseFilter(where)};
    if (!stdin && idle === undefined && isEmpty(named)) {
      throw new TokengateError('NO_TARGET', 'No sessions are selected.', {
        hint: 'Name them, or give --stdin, --match, --where or --all.',
      });
    }
    if (!stdin) return named;
    // The IDs end with stdin, even on a terminal, so no answer could follow.
    if (!dryRun && !this.isAnswered) throw confirmationRequired();
    const ids = named.ids.concat(readIds(await readStdin('the IDs'), nul));
    // An empty stdin means no ID, never all.
    return ids.length === 0 && !all ? {ids, all, none: true} : {...named, ids};
  }

  private get ids(): RawId[] {
    return (this.args as {session_id?: RawId[]}).session_id ?? [];
  }

  private get batchFlags(): BatchFlags {
    return this.flags as unknown as BatchFlags;
  }
}

/** A sentence about what unknown IDs probably meant: words of one ID, or an ID with other letters. */
async function guessMeant(redis: Redis, typed: readonly RawId[], unknown: readonly RawId[]): Promise<string> {
  const runs = typed
    .slice(0, MOST_WORDS)
    .flatMap((_, start, words) =>
      words.slice(start + 1).map((_, length) => rawId(words.slice(start, start + length + 2).join(' '))),
    );
  const absent = new Set(await findUnknown(redis, runs));
  const spaced = runs.find((id) => !absent.has(id));
  if (spaced !== undefined) return `Quote an ID that has spaces: '${nameOf(spaced)}'. `;
  const nearest = [...(await guessIds(redis, unknown.slice(0, NAMED))).values()];
  return nearest.length === 0 ? '' : `${describeGuesses(nearest)} `;
}
