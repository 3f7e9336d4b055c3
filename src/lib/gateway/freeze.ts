import {formatUtc, parseGatewayTime} from '../values/time.js';
import {NOT_UTF8, quoteStart, WRONG_TYPE} from './stored-text.js';
import type {Held} from './stored-value.js';

/** What the two freeze keys of a session say. */
export interface FreezeState {
  /** Null when the gateway cannot read the end time: then every request ends in HTTP 500. */
  isFrozen: boolean | null;
  /** The end of the freeze; null without one. If it is in the past, the gateway is about to remove the freeze. */
  until: Date | null;
  /** Untrusted text; null without one. */
  reason: string | null;
  /** One sentence for each value that the gateway would not have written. May hold untrusted text. */
  problems: string[];
}

export const NOT_FROZEN: FreezeState = {isFrozen: false, until: null, reason: null, problems: []};

/** The end of a freeze without an end. Its keys have no TTL. */
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

/** How the gateway treats a freeze: it goes on to the next rule, refuses with HTTP 429, or fails with HTTP 500. */
export type FreezeJudgement =
  | {state: 'none'}
  /** The gateway clears both keys at the next request. */
  | {state: 'over'; at: Date}
  | {state: 'frozen'; at: Date}
  /** `at` is null when it is the end that can't be read; `problem` reads as in "because …", and may hold untrusted text. */
  | {state: 'fails'; at: Date | null; of: 'end' | 'reason'; problem: string};

export function judgeFreeze(until: Held, reason: Held, now: Date): FreezeJudgement {
  // The gateway treats an empty text as no freeze.
  if (until === false || until === '') return {state: 'none'};
  const failing = (problem: string): FreezeJudgement => ({state: 'fails', at: null, of: 'end', problem});
  if (until === true) return failing(WRONG_TYPE);
  if (!until.isWellFormed()) return failing(`${quoteStart(until)}, which is ${NOT_UTF8}`);
  const time = parseGatewayTime(until);
  if (time.kind !== 'time') return failing(`${quoteStart(until)}${time.kind === 'offset' ? ', with an offset' : ''}`);
  if (time.at <= now) return {state: 'over', at: time.at};
  // The gateway reads the reason only when it refuses.
  const isBytes = typeof reason === 'string' && !reason.isWellFormed();
  if (reason !== true && !isBytes) return {state: 'frozen', at: time.at};
  const problem = isBytes ? `${quoteStart(reason)}, which is ${NOT_UTF8}` : WRONG_TYPE;
  return {state: 'fails', at: time.at, of: 'reason', problem};
}

/** Reads the values of `frozen_until` and `freeze_reason` of a session with this name. */
export function toFreezeState(name: string, until: Held, reason: Held, now: Date): FreezeState {
  const judgement = judgeFreeze(until, reason, now);
  const state: FreezeState = {...NOT_FROZEN, reason: typeof reason === 'string' ? reason : null, problems: []};
  const fails = 'the gateway answers its requests with HTTP 500';
  if (judgement.state === 'fails') {
    state.problems.push(`The freeze ${judgement.of} of session '${name}' is ${judgement.problem}: ${fails}.`);
  } else if (reason === true) {
    state.problems.push(`The freeze reason of session '${name}' is ${WRONG_TYPE}.`);
  }
  switch (judgement.state) {
    case 'none':
      return state;
    case 'fails':
      return {...state, isFrozen: judgement.at === null ? null : true, until: judgement.at};
    default:
      return {...state, isFrozen: judgement.state === 'frozen', until: judgement.at};
  }
}
