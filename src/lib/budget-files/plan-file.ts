import {isUtf8} from 'node:buffer';

import type {Held} from '../gateway/stored-value.js';
import {formatDay} from '../periods/terms.js';
import {TokengateError} from '../values/errors.js';
import {hexOf, idOfHex, nameOf, parseSessionId, type RawId} from '../values/session-id.js';
import {EntryReader} from './entry.js';
import {VERSION} from './fields.js';
import {type MapNode, plainText, type Problem, quotedText} from './nodes.js';
import type {Wanted} from './wanted.js';

/** The wanted state of a session, and the values that it had when they were compared. */
export interface PlannedSession {
  id: RawId;
  wanted: Wanted;
  held: readonly Held[];
}

/**
 * One session of a plan as JSON. `seen` holds the values of its keys as bytes, one character a byte; false for no key.
 */
export function toPlanJson({id, wanted, held}: PlannedSession): object {
  const [period, grants, budget] = held;
  const hex = hexOf(id);
  return {
    session_id: nameOf(id),
    ...(hex !== undefined && {session_id_hex: hex}),
    seen: {period, grants, budget},
    wanted: toFields(wanted),
  };
}

function toFields({budget, period, note}: Wanted): Record<string, string> {
  const fields = {...(budget !== undefined && {budget: budget.text}), ...(note !== '' && {note})};
  if (period === undefined) return fields;
  if (period === null) return {...fields, period: 'none'};
  const {every, timezone, at, on, amount, rollover, maxRollover} = period;
  return {
    ...fields,
    ...{period: every, amount: amount.text, timezone, at, rollover},
    ...(on !== null && {on: formatDay(every, on)}),
    ...(maxRollover !== null && {'max-rollover': maxRollover.text}),
  };
}

/**
 * Reads a plan with sessions from `toPlanJson`.
 *
 * @throws TokengateError INVALID_PLAN
 */
export function readPlan(bytes: Buffer): PlannedSession[] {
  const refuse = (why: string): TokengateError =>
    new TokengateError('INVALID_PLAN', `It is not a plan of diff-budgets: ${why}.`, {
      hint: 'Make one with: tokengate diff-budgets -f budgets.yaml --out plan.json',
    });
  if (!isUtf8(bytes)) throw refuse('it is not UTF-8 text');
  let plan: unknown;
  try {
    plan = JSON.parse(bytes.toString());
  } catch {
    throw refuse('it is not JSON');
  }
  const {version, changes} = isObject(plan) ? plan : {};
  if (version !== Number(VERSION) || !Array.isArray(changes)) throw refuse('it has no version and no changes');
  const known = new Set<RawId>();
  return changes.map((change: unknown, index) => {
    const session = isObject(change) ? readSession(change) : undefined;
    if (session === undefined) throw refuse(`its change ${index + 1} cannot be read`);
    if (known.has(session.id)) throw refuse(`session '${nameOf(session.id)}' is in it twice`);
    known.add(session.id);
    return session;
  });
}

function readSession({session_id: name, session_id_hex: hex, seen, wanted}: Fields): PlannedSession | undefined {
  if (!isObject(seen) || !isObject(wanted) || typeof name !== 'string' || name === '') return undefined;
  const held = [seen['period'], seen['grants'], seen['budget']];
  const isHeld = held.every((one) => typeof one === 'boolean' || typeof one === 'string');
  if (!isHeld || !name.isWellFormed()) return undefined;
  const id = hex === undefined ? parseSessionId(name) : idOfHex(hex);
  if (id === undefined) return undefined;
  const problems: Problem[] = [];
  const entries = Object.entries(wanted).map(
    ([field, value]) => [plainText(field, 0), quotedText(String(value), 0)] as const,
  );
  const node: MapNode = {kind: 'map', at: 0, entries};
  const read = new EntryReader(problems).read(node, {});
  if (problems.length > 0) return undefined;
  return {id, wanted: read, held};
}

type Fields = Record<string, unknown>;

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
