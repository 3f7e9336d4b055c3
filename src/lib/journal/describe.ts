import {describeEnd} from '../gateway/freeze.js';
import {
  BUDGET_KEYS,
  FREEZE_REASON_KEYS,
  FROZEN_UNTIL_KEYS,
  GRANTS_KEYS,
  keyName,
  type KeyShape,
  PERIOD_KEYS,
  SPENT_KEYS,
} from '../gateway/keys.js';
import {describeAmount, toAmount} from '../gateway/stored-amount.js';
import {WRONG_TYPE} from '../gateway/stored-text.js';
import type {Held} from '../gateway/stored-value.js';
import {describeStoredGrants, describeStoredPeriod} from '../periods/describe.js';
import {parseGatewayTime} from '../values/time.js';
import {heldOf, type KeyRecord, toText} from './entry.js';

/** The value of a key; a text is bytes, one character a byte. */
export interface HeldKey {
  shape: KeyShape;
  held: Held;
}

/** `budget $25.50, spent none, frozen until 2026-11-22 16:45:22 UTC (Bot)`. May hold untrusted text. */
export function describeKeys(keys: readonly HeldKey[]): string {
  const parts = words(keys).map(({name, text}) => (name === '' ? text : `${name} ${text}`));
  return parts.length === 0 ? 'nothing' : parts.join(', ');
}

/** `budget $20.00 → $25.50, not frozen → frozen until …`: the keys that changed. May hold untrusted text. */
export function describeChanged(keys: readonly KeyRecord[]): string {
  const changed = keys.flatMap(({shape, before, after}) => (after === undefined ? [] : [{shape, before, after}]));
  const after = words(changed.map(({shape, after}) => ({shape, held: heldOf(after)})));
  const before = words(changed.map(({shape, before}) => ({shape, held: heldOf(before)})));
  return before
    .map(({name, text}, index) => `${name}${name === '' ? '' : ' '}${text} → ${after[index]?.text ?? ''}`)
    .join(', ');
}

/** Describes the two keys of a freeze as one. */
function words(keys: readonly HeldKey[]): {name: string; text: string}[] {
  const reason = keys.find(({shape}) => shape === FREEZE_REASON_KEYS)?.held;
  const hasEnd = keys.some(({shape}) => shape === FROZEN_UNTIL_KEYS);
  return keys.flatMap(({shape, held}) => {
    if (shape === FROZEN_UNTIL_KEYS) return [{name: '', text: describeFreezeKeys(held, reason)}];
    if (shape === FREEZE_REASON_KEYS && hasEnd) return [];
    return [{name: keyName(shape), text: describeHeld(shape, held)}];
  });
}

export function describeHeld(shape: KeyShape, held: Held): string {
  if (held === true) return WRONG_TYPE;
  if (held === false) return 'none';
  if (shape === BUDGET_KEYS || shape === SPENT_KEYS) return describeAmount(toAmount(toText(held)));
  const text = toText(held);
  if (shape === PERIOD_KEYS) return describeStoredPeriod(text);
  if (shape === GRANTS_KEYS) return describeStoredGrants(text);
  return shape === FREEZE_REASON_KEYS || shape === FROZEN_UNTIL_KEYS ? `'${text}'` : text;
}

function describeFreezeKeys(until: Held, reason: Held | undefined): string {
  if (until === false) return 'not frozen';
  const time = typeof until === 'string' ? parseGatewayTime(until) : undefined;
  const end = time?.kind === 'time' ? describeEnd(time.at) : `until ${describeHeld(FROZEN_UNTIL_KEYS, until)}`;
  const why = reason === undefined || reason === false ? 'no reason' : reason === true ? WRONG_TYPE : toText(reason);
  return `frozen ${end} (${why})`;
}
