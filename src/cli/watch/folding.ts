import type {Watched} from '../../lib/watch/row.js';
import {arrange, select, selectedRow, sessionsOf, type State} from './state.js';

/** Shows the groups; selected is that of the selected session. */
export function fold(state: State): State {
  const row = state.selected === undefined ? undefined : selectedRow(state);
  const open = state.folding?.open ?? (row && state.groupOf(row));
  const folded = arrange({...state, folding: {open: undefined}, selected: undefined, top: 0});
  return {...folded, selected: folded.rows.find(({session}) => session.id === open)?.id};
}

/** Shows sessions one by one; selected is the same one, or the first of the selected group. */
export function unfold(state: State): State {
  const row = selectedRow(state);
  return arrange({...state, folding: undefined, selected: row && sessionsOf([row])[0]?.id});
}

export function openGroup(state: State, {session}: Watched): State {
  return select(arrange({...state, folding: {open: session.id}, selected: undefined, top: 0}), 0);
}
