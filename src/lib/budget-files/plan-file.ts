import {isUtf8} from 'node:buffer';

import type {Held} from '../gateway/stored-value.js';
import {formatDay} from '../periods/terms.js';
import type {ServerInfo} from '../redis/contract.js';
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

/** What is to change, and the server on which that was found. */
export interface Plan {
  /** As `planServer` names it; undefined for any. */
  server: string | undefined;
  sessions: Map<RawId, PlannedSession>;
}

/** Which server a plan is for. Of a Cluster any node may answer. */
export function planServer({role, address, database}: ServerInfo): string {
  return role === 'cluster' ? 'cluster' : `${address} db ${database}`;
}

/** @throws TokengateError OTHER_SERVER for a plan that was made on another one */
export function refuseOtherServer(plan: Plan, server: ServerInfo): void {
  const here = planServer(server);
  if (plan.server === undefined || plan.server === here) return;
  throw new TokengateError('OTHER_SERVER', `The plan was made on ${plan.server}, and this is ${here}.`, {
    hint: 'Make a plan here with: tokengate diff-budgets --out. If both are the same server, remove "server" from the plan.',
  });
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
export function readPlan(bytes: Buffer): Plan {
  const refuse = (why: string): TokengateError =>
    new TokengateError('INVALID_PLAN', `It is not a plan of diff-budgets: ${why}.`, {
      hint: 'Make one with: tokengate diff-budgets -f budgets.yaml --out plan.json',
    });
  if (!isUtf8(bytes)) throw refuse('it is not UTF-8 text');
  let plan: unknown;
  try {
    // Some editors begin a text with a byte order mark.
    plan = JSON.parse(bytes.toString().replace(/^\ufeff/, ''));
  } catch {
    throw refuse('it is not JSON');
  }
  const {version, server, changes} = isObject(plan) ? plan : {};
  if (!Array.isArray(changes)) throw refuse('it has no changes');
  if (version !== Number(VERSION)) throw refuse(`its version is not ${VERSION}`);
  if (server !== undefined && typeof server !== 'string') throw refuse('its server is no text');
  const sessions = new Map<RawId, PlannedSession>();
  for (const [index, change] of changes.entries()) {
    const session = isObject(change) ? readSession(change) : 'it is no object';
    if (typeof session === 'string') throw refuse(`its change ${index + 1} cannot be read: ${session}`);
    if (sessions.has(session.id)) throw refuse(`session '${nameOf(session.id)}' is in it twice`);
    sessions.set(session.id, session);
  }
  return {server, sessions};
}

/** Why not, for what cannot be read. */
function readSession({session_id: name, session_id_hex: hex, seen, wanted}: Fields): PlannedSession | string {
  if (typeof name !== 'string' || name === '' || !name.isWellFormed()) return 'its session_id is no ID';
  const id = hex === undefined ? parseSessionId(name) : idOfHex(hex);
  if (id === undefined) return 'its session_id_hex is not the bytes of an ID';
  if (!isObject(seen)) return 'seen is missing';
  if (!isObject(wanted)) return 'wanted is missing';
  const held = [seen['period'], seen['grants'], seen['budget']];
  const isHeld = held.every((one) => typeof one === 'boolean' || typeof one === 'string');
  if (!isHeld) return 'seen is not the text of period, grants and budget, or false';
  const problems: Problem[] = [];
  const entries = Object.entries(wanted).map(
    ([field, value]) => [plainText(field, 0), quotedText(String(value), 0)] as const,
  );
  const node: MapNode = {kind: 'map', at: 0, entries};
  const read = new EntryReader(problems).read(node, {});
  const [problem] = problems;
  if (problem !== undefined) return `${problem.field ?? 'wanted'}: ${problem.message.replace(/\.$/, '')}`;
  return {id, wanted: read, held};
}

type Fields = Record<string, unknown>;

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
