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

type Json = null | boolean | number | string | Json[] | Fields;
interface Fields {
  [name: string]: Json | undefined;
}
interface File {
  scope?: string[];
  sessions?: Record<string, Fields>;
  [name: string]: Json | undefined;
}

const amount = fc.constantFrom(0, 5, 25.5, '25.50', '007', '.5');
const optional = <T extends Record<string, fc.Arbitrary<Json>>>(fields: T, requiredKeys: (keyof T & string)[] = []) =>
  fc.record(fields, {requiredKeys});
const zone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York');
const note = fc.constantFrom('', 'as asked', 5, true);
const ofPeriod = {timezone: zone, at: fc.constantFrom('00:00', '23:59'), note};
const withRollover = (entry: fc.Arbitrary<Fields>): fc.Arbitrary<Fields> =>
  fc
    .tuple(
      entry,
      fc.oneof(
        optional({rollover: fc.constant('unused'), 'max-rollover': amount}, ['rollover']),
        fc.constantFrom({}, {rollover: 'none'}),
      ),
    )
    .map(([one, two]) => ({...one, ...two}));
const validEntry: fc.Arbitrary<Fields> = fc.oneof(
  optional({budget: amount, period: fc.constant('none'), note}),
  withRollover(
    optional({budget: amount, amount, period: fc.constantFrom('day', 'year'), ...ofPeriod}, ['budget', 'period']),
  ),
  withRollover(
    optional(
      {budget: amount, amount, period: fc.constant('week'), on: fc.constantFrom('monday', 'SUN', 'tu'), ...ofPeriod},
      [...(['amount', 'period'] as const)],
    ),
  ),
  withRollover(
    optional({amount, period: fc.constant('month'), on: fc.constantFrom(1, 31, '5'), ...ofPeriod}, [
      'amount',
      'period',
    ]),
  ),
);
const validFile: fc.Arbitrary<File> = fc.record(
  {
    version: fc.constantFrom(1, '1'),
    scope: fc.constantFrom(['*'], ['a*', 'team:*', '*']),
    defaults: optional({timezone: zone, at: fc.constant('09:00')}),
    sessions: fc.dictionary(fc.constantFrom('a', 'team:b', '007', '~', 'ü\n', '"'), validEntry, {maxKeys: 3}),
    id_hex: fc.dictionary(fc.constantFrom('ff', '61ff'), validEntry, {maxKeys: 2}),
    rules: fc.array(
      fc.tuple(fc.constantFrom('*', 'team:*', 5), validEntry).map(([match, entry]) => ({match, ...entry})),
      {maxLength: 2},
    ),
  },
  {requiredKeys: ['version']},
);

/** Values and names to put anywhere. */
const junk: fc.Arbitrary<Json> = fc.constantFrom<Json[]>(
  ...[
    null,
    true,
    false,
    0,
    1,
    2,
    -1,
    1.5,
    32,
    1e-7,
    1e21,
    '',
    '~',
    '1',
    '5',
    '1e3',
    'a',
    'UTC',
    'Mars/Base',
    'week',
    'none',
    '09:00',
    'unused',
  ],
  ...[[], ['a'], [''], [[]], {}, {a: {}}, {budget: 5}, {match: 'a'}, {zz: 1}],
);
const names = [
  'budget',
  'amount',
  'period',
  'timezone',
  'at',
  'on',
  'rollover',
  'max-rollover',
  'note',
  'match',
  'scope',
  'defaults',
  'sessions',
  'id_hex',
  'rules',
  'version',
  'a',
  '61',
  'FF',
  '',
  '<<',
];

/** A copy in which one value at any depth is removed, replaced or added. */
function mutate(json: Json, at: number, name: string, value: Json): Json {
  const root: Fields = {root: structuredClone(json)};
  const places: [holder: Fields, key: string][] = [];
  const visit = (holder: Fields): void => {
    for (const [key, inner] of Object.entries(holder)) {
      places.push([holder, key]);
      if (typeof inner === 'object' && inner !== null) visit(inner as Fields);
    }
  };
  visit(root);
  const [holder, key] = places[at % places.length]!;
  const inner = holder[key];
  if (at % 3 === 0 && holder !== root) holder[key] = undefined;
  else if (at % 3 === 1 && typeof inner === 'object' && inner !== null) (inner as Fields)[name] = value;
  else holder[key] = value;
  return (JSON.parse(JSON.stringify(root)) as {root: Json}).root;
}

/**
 * All that the tool refuses and the schema cannot: zones that are unknown, sessions that are listed twice or are outside
 * the scope, and amounts written with an exponent, since a schema sees numbers, not how they are written.
 */
function findBeyondSchema({scope, defaults, sessions = {}, id_hex: hex = {}, rules = []}: File): string[] {
  const entries = [sessions, hex, rules].flatMap((part) => Object.values(part as object) as Fields[]);
  const zones = [defaults as Fields | undefined, ...entries].flatMap((fields) => fields?.['timezone'] ?? []);
  const ids = [
    ...Object.keys(sessions).map((id) => Buffer.from(id)),
    ...Object.keys(hex as object).map((id) => Buffer.from(id, 'hex')),
  ].map((id) => id.toString('latin1'));
  const isIn = (id: string): boolean =>
    scope === undefined ||
    scope.map(String).some((glob) => (glob.endsWith('*') ? id.startsWith(glob.slice(0, -1)) : id === glob));
  const amounts = entries.flatMap((entry) => [entry['budget'], entry['amount'], entry['max-rollover']]);
  return [
    ...(zones.every((one) => ['UTC', 'Europe/Berlin', 'America/New_York'].includes(one as string)) ? [] : ['zone']),
    ...(new Set(ids).size === ids.length ? [] : ['twice']),
    ...(ids.every(isIn) ? [] : ['scope']),
    ...(amounts.some((one) => typeof one === 'number' && String(one).includes('e')) ? ['exponent'] : []),
  ];
}

describe('the JSON Schema', () => {
  fuzz(
    'takes whole files that the tool takes',
    fc.asyncProperty(validFile, async (file) => {
      expect([matchesSchema(file), await isTaken(file), file]).toEqual([true, true, file]);
    }),
    0.5,
  );

  fuzz(
    'judges whole files with something wrong as the tool does, but for what no schema can see',
    fc.asyncProperty(validFile, fc.nat(), fc.constantFrom(...names), junk, async (file, at, name, value) => {
      const mutated = mutate(file, at, name, value);
      const isTakenBySchema = matchesSchema(mutated);
      const expected = isTakenBySchema && findBeyondSchema(mutated as File).length === 0;
      expect([await isTaken(mutated), mutated]).toEqual([expected, mutated]);
    }),
    0.5,
  );

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
    0.5,
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
