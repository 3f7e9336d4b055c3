import {existsSync} from 'node:fs';

import {TokengateError} from '../../lib/values/errors.js';
import {isZoneName, parseTime} from '../../lib/values/time.js';

/**
 * A point in time that an operator typed: see `parseTime`. A time without an offset is refused where Node.js does not
 * know the time zone, and would use another one.
 *
 * @throws TokengateError INVALID_TIME
 */
export function parseTypedTime(typed: string): Date {
  const at = parseTime(typed);
  const {TZ: zone} = process.env;
  if (/(?:Z|[+-]\d\d:?\d\d)$/.test(typed.slice('2026-11-22'.length)) || isKnown(zone)) return at;
  const named = zone === undefined ? 'of this machine' : `'${zone}' in TZ`;
  throw new TokengateError('INVALID_TIME', `The time zone ${named} is not known here, so '${typed}' is not either.`, {
    hint: `Give Z or an offset, as in ${typed.length === 10 ? `${typed}T00:00` : typed}Z.`,
  });
}

/**
 * Node.js knows names such as Europe/Berlin, also with a colon before them. It does not read files, and of rules it
 * reads only a part.
 */
function isKnown(zone: string | undefined): boolean {
  // An empty zone means UTC by the same rule.
  if (zone === '') return true;
  if (zone === undefined) {
    const {timeZone} = new Intl.DateTimeFormat().resolvedOptions() as {timeZone?: string};
    return (timeZone !== undefined && timeZone !== 'Etc/Unknown') || !existsSync('/etc/localtime');
  }
  return isZoneName(zone.replace(/^:/, ''));
}
