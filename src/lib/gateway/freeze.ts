import {formatUtc, parseGatewayTime} from '../values/time.js';
import type {Held} from './stored-value.js';

/** What the two freeze keys of a session say. */
export interface FreezeState {
  /** Null when the end time is one that the gateway cannot read: then every request ends in HTTP 500. */
  isFrozen: boolean | null;
  /** The end of the freeze; null without one. In the past when the gateway is about to clear it. */
  until: Date | null;
  /** Untrusted text; null without one. */
  reason: string | null;
  /** One sentence for each thing that is not as the gateway writes it. May hold untrusted text. */
  problems: string[];
}

export const NOT_FROZEN: FreezeState = {isFrozen: false, until: null, reason: null, problems: []};

/** The end of a freeze without end: such keys have no TTL. */
export const FOREVER = new Date('9999-12-31T23:59:59Z');

/** `2026-11-22 16:45:22 UTC`, or that there is no end. */
export function describeEnd(until: Date): string {
  return until.getTime() === FOREVER.getTime() ? 'without end' : `until ${formatUtc(until)}`;
}

/** `frozen until 2026-11-22 16:45:22 UTC (Bot)`, or `not frozen`. May hold untrusted text. */
export function describeFreeze({isFrozen, until, reason}: FreezeState): string {
  if (isFrozen === false) return 'not frozen';
  const end = until === null ? 'until a time that the gateway cannot read' : describeEnd(until);
  return `frozen ${end} (${reason ?? 'no reason'})`;
}

/** Reads what `frozen_until` and `freeze_reason` of the session of that name hold. */
export function toFreezeState(name: string, until: Held, reason: Held, now: Date): FreezeState {
  const state: FreezeState = {...NOT_FROZEN, reason: typeof reason === 'string' ? reason : null, problems: []};
  if (reason === true) {
    state.problems.push(`The freeze reason of session '${name}' is of a wrong Redis type.`);
  }
  if (until === false) return state;
  const time = until === true ? undefined : parseGatewayTime(until);
  if (time?.kind === 'time') return {...state, isFrozen: time.at > now, until: time.at};
  const why =
    time === undefined ? 'of a wrong Redis type' : `'${until}'${time.kind === 'offset' ? ', with an offset' : ''}`;
  state.problems.push(`The freeze end of session '${name}' is ${why}: the gateway answers its requests with HTTP 500.`);
  return {...state, isFrozen: null};
}
