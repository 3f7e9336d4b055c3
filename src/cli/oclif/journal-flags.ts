import {hostname, userInfo} from 'node:os';

import {DEFAULT_JOURNAL_LIMIT, type Journal, newChangeId} from '../../lib/journal/entry.js';
import {TokengateError} from '../../lib/values/errors.js';

/**
 * The journal's record of a change, or undefined when no journal is kept.
 *
 * @throws TokengateError INVALID_USAGE for variables without a valid value
 */
export function makeJournal(
  facts: Pick<Journal, 'command' | 'version' | 'actor' | 'undoes'>,
  flags: {note?: string | undefined; 'no-journal': boolean},
  reason = '',
): Journal | undefined {
  const limit = readLimit();
  if (readIsOff() || flags['no-journal']) return undefined;
  return {...facts, change: newChangeId(), reason: flags.note ?? reason, limit};
}

/** True when no change is recorded. */
export function isJournalOff(): boolean {
  return process.env['TOKENGATE_JOURNAL'] === 'off';
}

/** `TOKENGATE_ACTOR`, or else the actor of the context, or else the user and the host. */
export function actorName(ofContext: string | undefined): string {
  const {TOKENGATE_ACTOR: named = ''} = process.env;
  if (named !== '') return named;
  if (ofContext !== undefined) return ofContext;
  try {
    return `${userInfo().username}@${hostname()}`;
  } catch {
    // A container's user may have no name.
    return `${process.getuid?.() ?? 'unknown'}@${hostname()}`;
  }
}

function readIsOff(): boolean {
  const value = process.env['TOKENGATE_JOURNAL'] ?? 'on';
  if (value === 'on' || value === 'off') return value === 'off';
  throw new TokengateError('INVALID_USAGE', `TOKENGATE_JOURNAL is '${value}'.`, {hint: 'Set it to on or off.'});
}

function readLimit(): number {
  const value = process.env['TOKENGATE_JOURNAL_LIMIT'];
  if (value === undefined) return DEFAULT_JOURNAL_LIMIT;
  const limit = /^[1-9]\d{0,11}$/.test(value) ? Number(value) : 0;
  if (limit > 0) return limit;
  throw new TokengateError('INVALID_USAGE', `TOKENGATE_JOURNAL_LIMIT is '${value}'.`, {
    hint: 'Set it to a number of entries, such as 100000.',
  });
}
