import type {Watched} from '../../lib/watch/row.js';
import {arrange, select, selectedRow, sessionsOf, type State} from './state.js';

/** Shows groups; the group of the selected session is selected. */
export function fold(state: State): State {
  const row = state.selected === undefined ? undefined : selectedRow(state);
  const open = state.folding?.open ?? (row && state.groupOf(row));
  const folded = arrange({...state, folding: {open: undefined}, selected: undefined, top: 0});
  return {...folded, selected: folded.rows.find(({session}) => session.id === open)?.id};
}

/** Shows single sessions; the same session stays selected, or the first one of the selected group is. */
export function unfold(state: State): State {
  const row = selectedRow(state);
  return arrange({...state, folding: undefined, selected: row && sessionsOf([row])[0]?.id});
}

export function openGroup(state: State, {session}: Watched): State {
  return select(arrange({...state, folding: {open: session.id}, selected: undefined, top: 0}), 0);
}
