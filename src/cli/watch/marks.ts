import type {Session} from '../../lib/gateway/session.js';
import type {RawId} from '../../lib/values/session-id.js';
import type {Watched} from '../../lib/watch/row.js';
import {selectedRow, sessionsOf, type State} from './state.js';

/** Marks the selected session, or all sessions of the selected group; unmarks them if they are marked already. */
export function mark(state: State): State {
  const one = selectedRow(state);
  return one === undefined ? state : {...state, marked: turnMarks(state, [one]), selected: one.id};
}

/** Marks everything that is shown, or unmarks it if it is marked already. */
export function markAll(state: State): State {
  return {...state, marked: turnMarks(state, state.rows)};
}

/** Marks the sessions of these rows, or unmarks them if all are marked. */
function turnMarks(state: State, rows: readonly Watched[]): ReadonlySet<RawId> {
  const marked = new Set(state.marked);
  const sessions = sessionsOf(rows);
  const isAll = sessions.every(({id}) => marked.has(id));
  for (const {id} of sessions)
    if (isAll) marked.delete(id);
    else marked.add(id);
  return marked;
}

/** The marked sessions, even if a filter hides them; without marks, those of the selected row. */
export function targetsOf(state: State): readonly Session[] {
  const one = selectedRow(state);
  if (state.marked.size > 0) return state.sorted.filter(({id}) => state.marked.has(id)).map(({session}) => session);
  return one === undefined ? [] : sessionsOf([one]).map(({session}) => session);
}
