import {expect, test} from 'vitest';

import {groupCommands} from '../../../../src/cli/oclif/help-texts.js';

test('a command of no known group is in the last one, so that the help names every command', () => {
  const commands = [
    {id: 'b', group: 'Budgets'},
    {id: 'a', group: 'Sums'},
    {id: 'c'},
    {id: 'd', group: 'Look'},
    {id: 'e', hidden: true},
  ];
  const ids = groupCommands(commands).map(([group, some]) => [group, some.map(({id}) => id)]);
  expect(ids).toEqual([
    ['Look', ['d']],
    ['Budgets', ['b']],
    ['Other', ['a', 'c']],
  ]);
});
