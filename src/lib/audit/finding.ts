import type {KeyShape} from '../gateway/keys.js';
import {decodeText, quoteStart} from '../gateway/stored-text.js';
import {isAscii, type RawId} from '../values/session-id.js';
import {type KeyFacts, nameOfKey, type SessionKey} from './facts.js';
import {type Repair, type RepairStep, VALUE_LIMIT} from './repairs.js';

/** A value that the gateway would not have written, or that makes it fail or spend without limit. */
export interface Finding {
  id: RawId;
  /** The name of the key, escaped where it is not text; untrusted. */
  key: string;
  /** A stable word. */
  problem: Problem;
  /** The value, as a clause; may hold untrusted text. */
  what: string;
  /** The consequence, as a clause. */
  effect: string;
  /**
   * The HTTP status of every request of the session now, if this finding causes it. Null if the gateway does not answer
   * so, if another rule answers first, or if it depends on the request.
   */
  answer: 429 | 500 | 503 | null;
  /** The repair; null when there is no single right one. */
  repair: Repair | null;
  /** What an operator can do instead. */
  advice: Advice[];
}

/** A finding with a single right repair. */
export type Fixable = Finding & {repair: Repair};

export function isFixable(finding: Finding): finding is Fixable {
  return finding.repair !== null;
}

export type Advice =
  | 'set_budget'
  | 'reset_session'
  | 'reset_spent'
  | 'freeze'
  | 'unfreeze'
  | 'set_period'
  | 'end_period'
  | 'revoke_grant'
  | 'revoke_grants'
  | 'delete_key';

/**
 * True for values that the gateway's own dashboard can't read either: it reads all sessions, and then answers HTTP 500.
 */
export function breaksDashboard({problem}: Finding): boolean {
  return /^(budget|spent)_(not_money|wrong_type|infinite)$|^id_not_text$/.test(problem);
}

export type Problem =
  | `${'budget' | 'spent' | 'frozen_until' | 'freeze_reason' | Counter | 'last_hash' | 'history' | 'velocity'}_wrong_type`
  | `${'budget' | 'spent'}_not_money`
  | `${'budget' | 'spent'}_expires`
  | `${'budget' | 'spent'}_infinite`
  | 'spent_negative'
  | 'spent_without_budget'
  | 'frozen_until_offset'
  | 'frozen_until_unreadable'
  | 'freeze_over'
  | 'freeze_without_ttl'
  | `${'freeze_reason' | 'last_hash' | 'velocity'}_not_text`
  | 'velocity_recent'
  | 'freeze_reason_without_freeze'
  | 'freeze_reason_without_ttl'
  | `${Counter}_not_count`
  | `${Counter | 'last_hash'}_without_ttl`
  | `period_${'wrong_type' | 'unreadable' | 'unknown_timezone' | 'expires' | 'ahead' | 'without_budget'}`
  | `grants_${'wrong_type' | 'unreadable' | 'empty' | 'expire' | 'without_budget' | 'without_period'}`
  | 'id_not_printable'
  | 'id_not_text';
export type Counter = 'requests' | 'identical_count';

/** A finding whose `answer` considers its own key alone. */
export type Judged = Finding & {shape: KeyShape};

/** PTTL's answers for a missing key, and for one without a TTL. */
export const NO_KEY = -2;
export const NO_END = -1;

export const NO_REPAIR = {repair: null, advice: []};

export function nameFinding(key: SessionKey): {id: RawId; key: string; shape: KeyShape} {
  return {id: key.id, key: nameOfKey(key), shape: key.shape};
}

export function repairOf({id, shape, text}: KeyFacts, action: string, to: RepairStep['to']): Repair {
  return {id, action, steps: [{shape, expected: text?.slice(0, VALUE_LIMIT) ?? true, to}]};
}

export function quote(latin1: string): string {
  return quoteStart(utf8(latin1));
}

export function isUtf8Text(latin1: string): boolean {
  return utf8(latin1).isWellFormed();
}

export function utf8(latin1: string): string {
  return isAscii(latin1) ? latin1 : decodeText(Buffer.from(latin1, 'latin1'));
}
