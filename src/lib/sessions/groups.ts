import {TokengateError} from '../values/errors.js';
import {matchesGlob} from '../values/glob.js';
import {nameOf, type RawId} from '../values/session-id.js';

export interface GroupOptions {
  /** `NAME=GLOB`; an ID belongs to the first one that matches. */
  globs: readonly string[];
  /** How many parts of the ID name the group when no glob matches. */
  depth?: number | undefined;
  /** The separator between the parts. */
  separator: string;
}

/** The group of sessions that belong to no other. */
const UNGROUPED = '(no group)';

/** The name of the group that a session belongs to. */
export type GroupOf = (id: RawId) => string;

/**
 * Groups sessions by their IDs.
 *
 * @throws TokengateError INVALID_USAGE
 */
export function makeGroups({globs, depth, separator}: GroupOptions): GroupOf {
  if (separator === '') throw new TokengateError('INVALID_USAGE', '--separator is empty.');
  const named = globs.map((typed) => {
    const [, name = '', glob = ''] = /^([^=]+)=(.+)$/s.exec(typed) ?? [];
    if (glob !== '') return {name, glob: Buffer.from(glob)};
    throw new TokengateError('INVALID_USAGE', `Invalid group '${typed}'.`, {
      hint: 'Write NAME=GLOB, as in team=team:*; or how many parts of the ID name a group, 1 or more.',
    });
  });
  return (id) => {
    const bytes = Buffer.from(id, 'latin1');
    const group = named.find(({glob}) => matchesGlob(glob, bytes));
    if (group !== undefined) return group.name;
    return depth === undefined ? UNGROUPED : nameOf(id).split(separator).slice(0, depth).join(separator);
  };
}
