import {createRequire} from 'node:module';

import fc from 'fast-check';
import {describe, expect, test} from 'vitest';

import {readBudgets} from '../../../../src/lib/budget-files/read.js';
import {makeSchema} from '../../../../src/lib/budget-files/schema.js';
import {fuzz} from '../../../support/fuzz.js';

// Its types are written for a resolution of modules that this project does not use.
const require = createRequire(import.meta.url);
const {Ajv2020} = require('ajv/dist/2020.js') as {
  Ajv2020: new (options: object) => {compile: (schema: object) => (value: unknown) => boolean};
};
const matchesSchema = new Ajv2020({allErrors: true, strict: false}).compile(makeSchema());

/** Whether the tool takes a document, written as JSON. */
async function isTaken(document: unknown): Promise<boolean> {
  const {mistakes} = await readBudgets([{name: 'x', bytes: Buffer.from(JSON.stringify(document))}]);
  return mistakes.length === 0;
}

const someAmount = fc.constantFrom(
  ...[5, 0, 0.25, 25.5, -1, 1e18, '25.50', '007', '.5', '5.', '', '-1', '1e3', '$5', '1,000', 'nan'],
  ...[
    '9'.repeat(18),
    '9'.repeat(19),
    `0${'9'.repeat(18)}`,
    `0.${'1'.repeat(27)}`,
    `0.${'1'.repeat(28)}`,
    `.${'1'.repeat(27)}`,
  ],
  ...[`.${'1'.repeat(28)}`, `123.${'4'.repeat(25)}`, `123.${'4'.repeat(26)}`, `${'0'.repeat(30)}1.5`, null, [5], {}],
);
const someEntry = fc.record(
  {
    budget: someAmount,
    amount: someAmount,
    period: fc.constantFrom('day', 'week', 'month', 'year', 'none', 'Month', null),
    timezone: fc.constantFrom('UTC', 'Europe/Berlin', '', null),
    at: fc.constantFrom('00:00', '23:59', '24:00', '9:00', null),
    on: fc.constantFrom('monday', 'Tu', 't', 'mo', 'montag', 1, 15, 31, 32, 0, '5', '05', '1.5', null),
    rollover: fc.constantFrom('none', 'unused', 'all'),
    'max-rollover': someAmount,
    note: fc.constantFrom('', 'as asked', 5, true, null),
    unknown: fc.constant(1),
  },
  {requiredKeys: []},
);
/** Half of them have only what is right by itself, so that it is how the fields go together that decides. */
const somePlausible = fc.record(
  {
    budget: fc.constantFrom(5, '25.50'),
    amount: fc.constantFrom(5, '0'),
    period: fc.constantFrom('day', 'week', 'month', 'year', 'none'),
    timezone: fc.constant('UTC'),
    at: fc.constant('09:00'),
    on: fc.constantFrom('monday', 'SUN', 1, '31'),
    rollover: fc.constantFrom('none', 'unused'),
    'max-rollover': fc.constant(5),
  },
  {requiredKeys: []},
);

describe('the JSON Schema', () => {
  fuzz(
    'takes what the tool takes, and refuses what it refuses',
    fc.asyncProperty(fc.oneof(somePlausible, someEntry), async (entry) => {
      // A zone is known to the tool alone.
      fc.pre((entry as {timezone?: unknown}).timezone !== '');
      for (const document of [
        {version: 1, sessions: {a: entry}},
        {version: '1', id_hex: {ff: entry}},
        {version: 1, rules: [{match: '*', ...entry}]},
      ]) {
        expect([matchesSchema(document), document]).toEqual([await isTaken(document), document]);
      }
    }),
    0.3,
  );

  test.each([
    {},
    [],
    {version: 1},
    {version: 2},
    {version: 1, scope: ['*'], defaults: {timezone: 'UTC', at: '09:00'}, sessions: {}, rules: []},
    {version: 1, scope: []},
    {version: 1, scope: ['']},
    {version: 1, scope: '*'},
    {version: 1, defaults: {budget: 5}},
    {version: 1, sessions: {'': {}}},
    {version: 1, sessions: {'\ud800': {}}},
    {version: 1, sessions: {a: null}},
    {version: 1, sessions: {a: 5}},
    {version: 1, id_hex: {ff: {}}},
    {version: 1, id_hex: {FF: {}}},
    {version: 1, id_hex: {f: {}}},
    {version: 1, rules: [{budget: 5}]},
    {version: 1, rules: {}},
    {version: 1, more: 1},
  ])('judges %j as the tool does', async (document) => {
    expect(matchesSchema(document)).toBe(await isTaken(document));
  });
});
