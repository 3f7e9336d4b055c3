import {parseFilter} from '../../lib/sessions/filter.js';
import type {Wanted} from '../../lib/watch/reader.js';

/**
 * Reads a filter that is typed into a live view: an expression as for `--where`, or a glob as for `--match`, or else a
 * part of an ID.
 *
 * @throws TokengateError INVALID_FILTER
 */
export function parseWanted(typed: string): Wanted {
  if (typed === '') return {};
  if (/[<>]|[!=]=|&&|\|\||^!?\s*frozen$/.test(typed)) return {where: parseFilter(typed)};
  return {match: /[*?[\\]/.test(typed) ? typed : `*${typed}*`};
}
