import type {PlannedChange, Preview} from '../change/change.js';
import {STORE_ID, STORE_KEYS} from '../gateway/keys.js';
import type {Held} from '../gateway/stored-value.js';
import {toText} from '../journal/entry.js';
import {nameOf} from '../values/session-id.js';

/** The old and the new name of a store; null when it is not protected. */
export interface StoreNames {
  before: string | null;
  after: string | null;
}

/** Protects the store with a name that every change has to give; with null, ends that. Its ID is `STORE_ID`. */
export function protectChange(name: string | null): PlannedChange<StoreNames> {
  const id = nameOf(STORE_ID);
  return {
    shapes: [STORE_KEYS],
    lookAt: [STORE_KEYS],
    preview: (_, [held = false]): Preview => ({id, state: 'done', now: describe(held)}),
    plan(_, [held = false]) {
      const before = typeof held === 'string' ? toText(held) : null;
      const result = {before, after: name};
      if (before === name && held !== true) return {id, state: 'unchanged', result};
      const next = name === null ? false : Buffer.from(name).toString('latin1');
      return {state: 'write', expected: [held], next: [next], result};
    },
  };
}

function describe(held: Held): string {
  if (typeof held === 'string') return `protected as '${toText(held)}'`;
  return held ? 'of a wrong Redis type' : 'not protected';
}
