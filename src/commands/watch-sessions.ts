import {Flags} from '@oclif/core';

import {BaseCommand} from '../cli/oclif/base-command.js';
import {formatFlag, journalFlags, matchFlag, whereFlag} from '../cli/oclif/flags.js';
import {groupFlags, readGroups} from '../cli/oclif/group-flags.js';
import {onInterrupt} from '../cli/terminal/interrupts.js';
import {explain, readSessionPage} from '../cli/views/session-page.js';
import {drawOnce} from '../cli/watch/drawing/once.js';
import {requireTerminal, showLive} from '../cli/watch/live.js';
import {
  changeLines,
  toGroupJson,
  toLine,
  toWatchedJson,
  type WatchedGroupJson,
  type WatchedJson,
} from '../cli/watch/ndjson.js';
import type {Message, Start} from '../cli/watch/state.js';
import type {Redis} from '../lib/redis/contract.js';
import {parseFilter} from '../lib/sessions/filter.js';
import {type GroupOf, makeGroups} from '../lib/sessions/groups.js';
import {describePartial} from '../lib/sessions/totals.js';
import {TokengateError} from '../lib/values/errors.js';
import type {Money} from '../lib/values/money.js';
import type {RawId} from '../lib/values/session-id.js';
import {parseDuration} from '../lib/values/time.js';
import {type FoldedRow, foldSessions} from '../lib/watch/fold.js';
import {type Feed, openFeed} from '../lib/watch/poller.js';
import {Watch, type Reading, type Wanted} from '../lib/watch/reader.js';
import {type Status, sortWatched, summarize, type Summary, WATCH_FIELDS, type Watched} from '../lib/watch/row.js';
import {sampleSessions} from '../lib/watch/sample.js';

const FORMATS = ['text', 'json', 'ndjson'] as const;
type Format = (typeof FORMATS)[number];

interface WatchJson {
  time: Date;
  sessions: WatchedJson[];
  totals: {
    count: number;
    budget: Money;
    spent: Money;
    remaining: Money;
    percentage_used: Money;
    statuses: Record<Status, number>;
  };
  /** With flags that group them. */
  groups?: WatchedGroupJson[];
}

export default class WatchSessions extends BaseCommand<typeof WatchSessions> {
  static override summary = 'Watch sessions spend, live, and act on them';
  static override description = `A full-screen view of the sessions that have a budget: totals, and a row a session with its status, amounts, rate of spending, time until its budget is spent ("lasts" if it renews before), requests in the last minute and freeze. The rate is what the session spent in the last minute, in US dollars a minute.

Keys: arrows, PgUp, PgDn, Home and End select a session, and the selection stays on it; f freezes, u unfreezes, + adds budget, r resets, each after a question; z undoes the last of these; m and M mark sessions for one action; t folds sessions into groups, and Enter opens one; Enter or d shows all about a session, with commands to copy; e explains; / filters by a part of an ID, a glob or an expression, while it is typed; s and S sort by the next column or the one before, i inverts; ? or F1 helps; q or F10 quits.

Status: frozen, invalid (a value that the gateway cannot read), empty (the budget is spent), low (80 percent or more is used) or ok.

Groups are named by globs (--group-by bots=*-bot) or by the first parts of the ID (--group-by 1, which t takes if nothing else is given). With a flag that groups, the view starts with groups, and --once prints them. An action on a group applies to all of its sessions shown, and its question says how many.

Without a terminal, --once prints one frame (add --sample 3s for rates), and --format ndjson prints a line of JSON for each session, then one for each change, until you interrupt it.`;
  static group = 'Look';
  static override examples = [
    {description: 'See what is spending now', command: '<%= config.bin %> <%= command.id %>'},
    {
      description: "A team's sessions that are nearly out of budget",
      command: `<%= config.bin %> <%= command.id %> --match 'team:*' --where 'used > 80' --sort empty`,
    },
    {
      description: 'One frame, for a script or a ticket',
      command: '<%= config.bin %> <%= command.id %> --once --sort spent',
    },
    {
      description: 'One frame with the present rates',
      command: '<%= config.bin %> <%= command.id %> --once --sample 3s',
    },
  ];
  static related = ['list-sessions', 'check-sessions', 'explain-session'];

  static override flags = {
    match: matchFlag,
    where: whereFlag,
    sort: Flags.option({
      options: WATCH_FIELDS,
      description: 'What to sort by, the most pressing first',
      default: 'rate' as const,
    })(),
    reverse: Flags.boolean({description: 'Sort the other way round'}),
    interval: Flags.string({
      description: 'Time between two readings, such as 5s or 1m',
      default: '2s',
      helpValue: 'TIME',
    }),
    once: Flags.boolean({description: 'Print one frame with all sessions, and end'}),
    sample: Flags.string({
      description: 'With --once, read twice, this far apart, to show rates of spending',
      helpValue: 'TIME',
    }),
    format: formatFlag(FORMATS, {
      description: 'The view, or with --once one JSON document (the same as --json), or a line of JSON for each change',
    }),
    ...groupFlags,
    ...journalFlags,
  };

  async run(): Promise<WatchJson | undefined> {
    const format = this.format();
    const {match, where, once, sample} = this.flags;
    const interval = parseDuration(this.flags.interval);
    const wanted = {match, where: where === undefined ? undefined : parseFilter(where), withRenewals: true};
    const seconds = sample === undefined ? undefined : parseDuration(sample);
    if (seconds !== undefined && !once) throw new TokengateError('INVALID_USAGE', '--sample goes with --once.');
    const groups = readGroups(this.flags);
    // Without flags t groups by the first part of the ID.
    const groupOf = makeGroups(groups ?? {globs: [], depth: 1, separator: this.flags.separator});
    if (groups !== undefined && format === 'ndjson') {
      throw new TokengateError('INVALID_USAGE', 'Groups go without --format ndjson, which is about sessions.');
    }
    if (once) return this.readOnce(wanted, seconds, format, groups && groupOf);
    if (format === 'text') requireTerminal();
    this.askForStore();
    const stop = new AbortController();
    const feed = await openFeed({
      connect: () => this.connect(stop.signal),
      watch: new Watch({...wanted, ...(format === 'text' && {readFirstRates})}),
      interval: interval * 1000,
      countAll: format === 'ndjson',
      signal: stop.signal,
    });
    if (format === 'ndjson') {
      onInterrupt(() => {
        stop.abort();
      });
      for await (const lines of changeLines(feed)) await this.write([lines]);
    } else {
      await this.show(feed, interval, {groupOf, isFolded: groups !== undefined});
    }
    stop.abort();
    return undefined;
  }

  private async show(feed: Feed, interval: number, grouping: Pick<Start, 'groupOf' | 'isFolded'>): Promise<void> {
    const {sort, reverse} = this.flags;
    // A wrong --confirm is reported before the screen appears.
    this.guard.nameToType(feed.server);
    const messages = await showLive({
      ...{feed, interval, limits: this.limits(), start: {sort, reverse, ...grouping}},
      ...{guard: this.guard, color: this.color},
      journal: (reason, undoes) => this.journal(reason, undoes),
      explain: (redis, id) => explain(redis, id, this.sameServer(redis)),
      describe: (redis, id) => readSessionPage(redis, id, this.sameServer(redis)),
    });
    this.report(messages);
  }

  private async readOnce(
    wanted: Wanted,
    seconds: number | undefined,
    format: Format,
    groupOf: GroupOf | undefined,
  ): Promise<WatchJson | undefined> {
    const {sort, reverse} = this.flags;
    this.askForStore();
    const redis = await this.connect();
    const {at: now, sessions} = await readOnce(redis, wanted, seconds);
    sortWatched(sessions, sort, reverse);
    const {server} = redis;
    if (format === 'ndjson') {
      await this.write(sessions.map((one) => toLine('added', now, one)));
      return undefined;
    }
    const summary = summarize(sessions);
    const groups =
      groupOf &&
      sortWatched(
        foldSessions(sessions, ({id}) => groupOf(id)),
        sort,
        reverse,
      );
    if (format === 'text') {
      await this.write(
        drawOnce(groups ?? sessions, {server, color: this.color, now, sort, reverse, limits: this.limits(), summary}),
      );
    }
    this.warnAll(describePartial(summary.partial));
    return format === 'json' ? toWatchJson(now, sessions, summary, groups) : undefined;
  }

  private format(): Format {
    const {json, format = json ? 'json' : 'text', once} = this.flags;
    if (format === 'json' && !once) {
      const message = 'One JSON document needs --once; --format ndjson prints changes as lines.';
      throw new TokengateError('INVALID_USAGE', message);
    }
    return format;
  }

  /** The limits that the flags set. */
  private limits(): string[] {
    const {match, where} = this.flags;
    return [...(match === undefined ? [] : [`match ${match}`]), ...(where === undefined ? [] : [`where ${where}`])];
  }

  /** The outcome of a change that was under way when the view was left. */
  private report(messages: readonly Message[]): void {
    for (const {text, level} of messages) {
      if (level === 'error') throw new TokengateError('CHANGE_FAILED', text);
      if (level === 'done') this.print(text);
      else this.warnAll([text]);
    }
  }
}

/** Recorded spending of the last hour, so that the first screen shows rates. */
async function readFirstRates(redis: Redis, match?: string): Promise<Map<RawId, Money | null> | undefined> {
  const {readAllRates} = await import('../lib/spending/all-rates.js');
  return readAllRates(redis, match, 1);
}

async function readOnce(redis: Redis, wanted: Wanted, seconds: number | undefined): Promise<Reading> {
  if (seconds !== undefined) return sampleSessions(redis, wanted, seconds);
  const watch = new Watch(wanted);
  await watch.read(redis, 'all');
  return watch.reading();
}

function toWatchJson(time: Date, sessions: Watched[], summary: Summary, groups?: FoldedRow[]): WatchJson {
  const {count, budget, spent, remaining, used, statuses} = summary;
  return {
    time,
    sessions: sessions.map(toWatchedJson),
    totals: {count, budget, spent, remaining, percentage_used: used, statuses},
    ...(groups && {groups: groups.map(toGroupJson)}),
  };
}
