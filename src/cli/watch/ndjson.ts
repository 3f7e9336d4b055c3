import type {Money} from '../../lib/values/money.js';
import type {RawId} from '../../lib/values/session-id.js';
import type {FoldedRow} from '../../lib/watch/fold.js';
import type {Feed} from '../../lib/watch/poller.js';
import {emptyIn, type Status, type Watched} from '../../lib/watch/row.js';
import {reportWarning} from '../terminal/report.js';
import {stringifyJson} from '../text/json.js';
import {type SessionJson, toSessionJson} from '../views/sessions.js';

/** A session at one moment, in the form for scripts, which is a contract. */
export interface WatchedJson extends SessionJson {
  is_frozen: boolean | null;
  frozen_until: Date | null;
  freeze_reason: string | null;
  /** Null when the value in Redis is not a count. */
  requests_last_minute: number | null;
  /** US dollars; null until there is enough data. */
  spent_per_minute: Money | null;
  /** Null when it is unknown or never happens, as for a frozen session, or for a budget that renews before. */
  seconds_until_empty: number | null;
  /** Null when the budget does not renew, or when a renewal is overdue. */
  next_renewal: Date | null;
}

export function toWatchedJson(one: Watched): WatchedJson {
  const {session, rate, requests} = one;
  const {freeze} = session;
  return {
    ...toSessionJson(session),
    is_frozen: freeze?.isFrozen ?? null,
    frozen_until: freeze?.isFrozen ? freeze.until : null,
    freeze_reason: freeze?.isFrozen ? freeze.reason : null,
    requests_last_minute: requests ?? null,
    spent_per_minute: rate,
    seconds_until_empty: emptyIn(one),
    next_renewal: one.renewsAt,
  };
}

/** A group of sessions in the form for scripts, which is a contract. */
export interface WatchedGroupJson {
  group: string;
  count: number;
  budget: Money | null;
  spent: Money | null;
  remaining: Money | null;
  percentage_used: Money | null;
  /** US dollars; null until there is enough data for any of the sessions. */
  spent_per_minute: Money | null;
  statuses: Record<Status, number>;
}

export function toGroupJson({session, rate, group: {members, statuses}}: FoldedRow): WatchedGroupJson {
  const {id, budget, spent, remaining, percentageUsed: used} = session;
  const sums = {budget, spent, remaining, percentage_used: used, spent_per_minute: rate};
  return {group: id, count: members.length, ...sums, statuses};
}

/**
 * One line of JSON for each session, then one for each session that has changed since the last reading, until the feed
 * ends. Reports on stderr when Redis can't be read, and when it can again.
 */
export async function* changeLines(feed: Feed): AsyncGenerator<string> {
  const shown = new Map<RawId, Pick<Watched, 'session' | 'requests'>>();
  const readings = eachReading(feed);
  let isTroubled = false;
  for await (const trouble of readings) {
    if (trouble !== undefined) {
      if (!isTroubled) reportWarning(`${trouble.error.message} It is tried again until it answers.`);
      isTroubled = true;
      continue;
    }
    if (isTroubled) reportWarning(`Redis at ${feed.server.address} answers again.`);
    isTroubled = false;
    const {at: time, sessions} = feed.reading();
    const left = new Map(shown);
    let text = '';
    for (const one of sessions) {
      const {id, session, requests} = one;
      const last = left.get(id);
      left.delete(id);
      if (last?.session === session && last.requests === requests) continue;
      shown.set(id, {session, requests});
      text += toLine(last === undefined ? 'added' : 'changed', time, one);
    }
    for (const [id, {session}] of left) {
      shown.delete(id);
      text += `${stringifyJson({event: 'removed', time, session_id: session.id})}\n`;
    }
    if (text !== '') yield text;
  }
}

export function toLine(event: 'added' | 'changed', time: Date, one: Watched): string {
  return `${stringifyJson({event, time, ...toWatchedJson(one)})}\n`;
}

/** Yields the trouble, or undefined, after each reading; the first one at once. */
async function* eachReading(feed: Feed): AsyncGenerator<Feed['trouble']> {
  const news: ('reading' | 'end')[] = ['reading'];
  let wake = (): void => {
    // Nobody is waiting.
  };
  const tell = (what: 'reading' | 'end'): void => {
    // A slow reader gets the state at the time when it is ready.
    if (news.at(-1) !== what) news.push(what);
    wake();
  };
  const unsubscribe = feed.subscribe(() => {
    tell('reading');
  });
  const ended = feed.ended.finally(() => {
    tell('end');
  });
  ended.catch(() => undefined);
  try {
    for (;;) {
      const what = news.shift();
      if (what === 'reading') yield feed.trouble;
      else if (what === 'end') break;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    unsubscribe();
  }
  await ended;
}
