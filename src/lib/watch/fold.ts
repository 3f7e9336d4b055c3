import type {GroupOf} from '../sessions/groups.js';
import {describePartial} from '../sessions/totals.js';
import {rawId} from '../values/session-id.js';
import {statusOf, summarize, type Watched} from './row.js';

/** A row that is no session. */
export type FoldedRow = Watched & Required<Pick<Watched, 'group'>>;

/** Sums up the sessions of each group, in one row a group, of which none is a session. */
export function foldSessions(sessions: readonly Watched[], groupOf: (one: Watched) => string): FoldedRow[] {
  const groups = new Map<string, Watched[]>();
  for (const one of sessions) {
    const name = groupOf(one);
    const members = groups.get(name);
    if (members === undefined) groups.set(name, [one]);
    else members.push(one);
  }
  return [...groups].map(([name, members]) => toRow(name, members));
}

/** The group of a session is asked for once. */
export function rememberGroups(groupOf: GroupOf): (one: Watched) => string {
  const names = new WeakMap<Watched, string>();
  return (one) => {
    const known = names.get(one);
    if (known !== undefined) return known;
    const name = groupOf(one.id);
    names.set(one, name);
    return name;
  };
}

function toRow(name: string, members: readonly Watched[]): FoldedRow {
  const {budget, spent, remaining, used, rate, renewsIn, statuses, partial} = summarize(members);
  const key = rawId(Buffer.from(name).toString('latin1'));
  const amounts = {budget, spent, remaining, percentageUsed: used};
  const session = {id: name, key, ...amounts, freeze: null, problems: describePartial(partial)};
  const requests = members.map((one) => one.requests);
  return {
    id: key,
    session,
    status: statusOf(session),
    rate,
    renewsAt: null,
    renewsIn,
    requests: requests.every((count) => typeof count === 'number')
      ? requests.reduce((sum, count) => sum + count, 0)
      : undefined,
    group: {members, statuses},
  };
}
