import {parseFilter} from '../../lib/sessions/filter.js';
import type {Wanted} from '../../lib/watch/reader.js';

/**
 * Reads a filter as it is typed into a live view: an expression, as `--where` takes it; else a glob, as `--match` does;
 * else a part of an ID.
 *
 * @throws TokengateError INVALID_FILTER
 */
export function parseWanted(typed: string): Wanted {
  if (typed === '') return {};
  if (/[<>]|[!=]=|&&|\|\||^!?\s*frozen$/.test(typed)) return {where: parseFilter(typed)};
  return {match: /[*?[\\]/.test(typed) ? typed : `*${typed}*`};
}
