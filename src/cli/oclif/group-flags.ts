import {Flags} from '@oclif/core';

import {type GroupOptions} from '../../lib/sessions/groups.js';
import {TokengateError} from '../../lib/values/errors.js';
import {countFlag} from './flags.js';

/** How to group sessions. */
export const groupFlags = {
  group: Flags.string({
    helpGroup: 'GROUPING',
    description:
      'Group the IDs that match a glob, such as bots=*-bot; repeat it for more groups, the first match counts',
    multiple: true,
    helpValue: 'NAME=GLOB',
  }),
  'group-depth': countFlag({helpGroup: 'GROUPING', description: 'Group by the first N parts of the ID', min: 1}),
  'group-by': Flags.string({
    helpGroup: 'GROUPING',
    description: 'The same in one flag: a number is --group-depth, NAME=GLOB is --group',
    multiple: true,
    helpValue: 'N|NAME=GLOB',
  }),
  separator: Flags.string({
    helpGroup: 'GROUPING',
    description: 'Separates the parts of an ID',
    default: ':',
    helpValue: 'TEXT',
  }),
};

interface GroupFlags {
  group?: string[] | undefined;
  'group-depth'?: number | undefined;
  'group-by'?: string[] | undefined;
  separator: string;
}

/**
 * How the flags group sessions; undefined when none says so.
 *
 * @throws TokengateError INVALID_USAGE
 */
export function readGroups({
  group = [],
  'group-depth': depth,
  'group-by': by = [],
  separator,
}: GroupFlags): GroupOptions | undefined {
  const isDepth = (typed: string): boolean => /^[1-9]\d*$/.test(typed);
  const globs = [...group, ...by.filter((typed) => !isDepth(typed))];
  const depths = new Set([...(depth === undefined ? [] : [depth]), ...by.filter(isDepth).map(Number)]);
  if (depths.size > 1) {
    throw new TokengateError(
      'INVALID_USAGE',
      `Sessions are grouped by one depth, not by ${[...depths].join(' and ')}.`,
    );
  }
  return globs.length + depths.size === 0 ? undefined : {globs, depth: [...depths][0], separator};
}
