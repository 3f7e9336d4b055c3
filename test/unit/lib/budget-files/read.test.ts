import fc from 'fast-check';
import {describe, expect, test} from 'vitest';

import {writeBudgets} from '../../../../src/cli/batches/budget-file.js';
import type {Node} from '../../../../src/lib/budget-files/nodes.js';
import {readPlainLines} from '../../../../src/lib/budget-files/plain-lines.js';
import {readBudgets} from '../../../../src/lib/budget-files/read.js';
import type {WrittenSession} from '../../../../src/lib/budget-files/written.js';
import {readYaml} from '../../../../src/lib/budget-files/yaml-nodes.js';
import {nameOf, rawId} from '../../../../src/lib/values/session-id.js';
import {anyBytes, anyText, fuzz} from '../../../support/fuzz.js';

const read = (...texts: string[]): ReturnType<typeof readBudgets> =>
  readBudgets(texts.map((text, index) => ({name: `${'ab'[index]}.yaml`, bytes: Buffer.from(text)})));

/** `line:column field: message`, of each mistake. */
async function mistakesOf(...texts: string[]): Promise<string[]> {
  const {mistakes} = await read(...texts);
  return mistakes.map(({file, line, column, field, message}) => {
    const place = texts.length === 1 ? '' : `${file}:`;
    return `${place}${line}:${column} ${field === undefined ? '' : `${field}: `}${message}`;
  });
}

async function budgetsOf(text: string): Promise<Record<string, string | undefined>> {
  const {budgets, mistakes} = await read(text);
  expect(mistakes).toEqual([]);
  return Object.fromEntries([...budgets!.named].map(([id, {wanted}]) => [nameOf(id), wanted.budget?.text]));
}

describe('a file', () => {
  test('holds IDs and amounts exactly as they are typed', async () => {
    const ids = [
      '007',
      'no',
      '1e3',
      '~',
      'null',
      '2026-01-01',
      '0x1f',
      '12:30',
      'true',
      '-',
      'a: b',
      '"',
      '',
      '\u001b',
    ];
    const lines = ids
      .filter((id) => id !== '')
      .map((id) => `  ${/^[\w~][\w:]*$/.test(id) ? id : JSON.stringify(id)}: {budget: 25.50}\n`);
    expect(Object.entries(await budgetsOf(`version: 1\nsessions:\n${lines.join('')}`)).sort()).toEqual(
      ids
        .filter((id) => id !== '')
        .map((id) => [id, '25.50'])
        .sort(),
    );
    expect(await budgetsOf('version: 1\nsessions: {a: {budget: 007}, b: {budget: "1.10"}, c: {budget: .5}}')).toEqual({
      ...{a: '7', b: '1.10', c: '0.5'},
    });
  });

  test('gets an error for each mistake, with its line, its column and its field', async () => {
    const text = `version: 2
scope: ['team:*']
default: {timezone: UTC}
sessions:
  team:a: {budget: 1e3}
  team:b: {budget: ~}
  team:c: {bugdet: 5}
  team:d: {budget: 5, budget: 6}
  team:e: {budget: 5, period: fortnight}
  team:f: {budget: 5, period: month, timezone: Europe/Atlantis}
  team:g: {budget: 5, period: month, on: 32}
  team:h: {period: month}
  team:i: {budget: 5, rollover: unused}
  bot: {budget: 5}
  team:a: {budget: 5}
  team:j: 5
rules:
  - {budget: 5}
  - {match: '', budget: -5, at: 9}
`;
    expect(await mistakesOf(text)).toMatchInlineSnapshot(`
      [
        "1:10 version: This version of tokengate reads version 1 of the file, not '2'.",
        "3:1 default: There is no such field. Known: version, scope, defaults, sessions, id_hex, rules.",
        "5:20 budget: Invalid amount '1e3': leave out the exponent. Write US dollars as plain digits, for example 25.50.",
        "6:20 budget: It has no value. Leave the field out to keep what is there.",
        "7:12 bugdet: There is no such field. Known: budget, amount, period, timezone, at, on, rollover, max-rollover, note.",
        "8:23 budget: The field is there twice.",
        "9:31 period: Invalid period 'fortnight'. Write one of day, week, month, year, none.",
        "10:48 timezone: Unknown time zone 'Europe/Atlantis'. Write a name such as UTC, Europe/Berlin or America/New_York.",
        "11:42 on: Invalid day of the month '32' for on. Write a number from 1 to 31; a shorter month takes its last day.",
        "12:20 period: period needs budget or amount.",
        "13:33 rollover: rollover goes with period.",
        "14:3 sessions: Session 'bot' is outside the scope of the file.",
        "15:3 sessions: Session 'team:a' is listed twice: first in a.yaml:5.",
        "16:11 sessions: Session 'team:j' needs a map of fields, such as {budget: 25.50}.",
        "18:5 match: The rule does not say which IDs it is for.",
        "19:13 match: The glob is empty.",
        "19:25 budget: Invalid amount '-5': it is negative. Write US dollars as plain digits, for example 25.50.",
        "19:33 at: Invalid time of day '9' for at. Write it like 09:30.",
        "19:33 at: at goes with period.",
      ]
    `);
  });

  test.each([
    ['', '1:1 It is empty.'],
    ['[]', '1:1 It has to be a map with version, sessions and rules.'],
    ['version: 1\nsessions: 5', '2:11 sessions: It has to be a map of fields.'],
    ['version: 1\nscope: []', '2:8 scope: It has to be a list of globs.'],
    ['version: 1\nrules: {}', '2:8 rules: It has to be a list of rules.'],
    ['version: 1\nid_hex: {zz: {}}', "2:10 id_hex: 'zz' is not the bytes of an ID in pairs of digits 0-9 and a-f."],
    ['version: 1\nsessions: {"": {}}', '2:12 sessions: The session ID is empty.'],
    ['version: 1\nsessions: {"\\ud800": {}}', "2:12 sessions: The session ID '\ud800' is not valid Unicode text."],
    ['version: 1\nsessions: {a: *b}', "2:15 No anchor '&b' comes before this alias."],
    ['version: 1\nsessions: {a: !x {budget: 5}}', "2:18 The tag '!x' has no meaning here."],
    ['version: 1\nsessions: {? [a] : {}}', '2:14 A name has to be a text.'],
    ['version: 1\n---\nversion: 1', '2:1 A second document begins; a file holds one.'],
    ['version: 1\nsessions:\n\ta: {}\n', '3:1 Tabs are not allowed as indentation.'],
  ])('%j is refused', async (text, mistake) => {
    expect(await mistakesOf(text)).toContain(mistake);
  });

  test('that is not UTF-8 is refused', async () => {
    const {mistakes} = await readBudgets([{name: 'x', bytes: Buffer.from('version: 1 # \xff', 'latin1')}]);
    expect(mistakes).toEqual([{file: 'x', line: 1, column: 1, message: 'It is not UTF-8 text.'}]);
  });

  test('and another must not both list a session, by text or by bytes', async () => {
    const other = 'version: 1\nid_hex:\n  62: {}\n';
    expect(await mistakesOf('version: 1\nsessions:\n  a: {}\n  b: {}\n', other)).toEqual([
      "b.yaml:3:3 id_hex: Session 'b' is listed twice: first in a.yaml:4.",
    ]);
  });

  test('uses anchors and merges, of which the own field counts', async () => {
    const text = `version: 1
sessions:
  a: &base {budget: 5, period: day, at: 09:00}
  b: *base
  c: {<<: *base, budget: 6}
  d: {<<: [*base, {note: x}]}
`;
    expect(await budgetsOf(text)).toEqual({a: '5', b: '5', c: '6', d: '5'});
  });

  test('in which sessions merge the same mistake gets one error for it', async () => {
    const text = 'version: 1\nsessions:\n  a: &a {budget: x}\n  b: {<<: *a}\n  c: *a\n  d: {budget: x}\n';
    const why = "budget: Invalid amount 'x': it is not a plain decimal number.";
    expect(await mistakesOf(text)).toEqual([
      expect.stringContaining(`3:18 ${why}`),
      expect.stringContaining(`6:15 ${why}`),
    ]);
  });

  test('with a bomb of aliases ends at once', async () => {
    const bomb = Array.from({length: 40}, (_, level) => {
      const inner =
        level === 0
          ? '{budget: 1}'
          : `{<<: [${Array(9)
              .fill(`*a${level - 1}`)
              .join(', ')}]}`;
      return `  s${level}: &a${level} ${inner}\n`;
    });
    expect(Object.keys(await budgetsOf(`version: 1\nsessions:\n${bomb.join('')}`))).toHaveLength(40);
    const deep = `version: ${'['.repeat(100_000)}`;
    expect(await mistakesOf(deep)).toEqual(['1:1 It is nested too deeply.']);
    expect(await mistakesOf('version: 1\nsessions: &a {x: {<<: *a}}')).toContain('2:14 It holds itself.');
    const wide = Array.from({length: 1000}, (_, field) => `f${field}: 1`).join(', ');
    const merges = `  a: &a {${wide}}\n${'  b: {<<: *a}\n'.repeat(1001)}`;
    expect(await mistakesOf(`version: 1\nsessions:\n${merges}`)).toEqual([
      '1:1 Its merge keys (<<) add more than a million fields.',
    ]);
  });
});

describe('lines of sessions', () => {
  const anyId = anyBytes.filter((bytes) => bytes.length > 0).map((bytes) => rawId(bytes.toString('latin1')));
  const anySession = fc.record({
    id: anyId,
    fields: fc.record(
      {
        budget: fc.constantFrom('5', '0.10'),
        period: fc.constantFrom('month', 'none'),
        timezone: fc.constantFrom('UTC', 'Europe/Berlin'),
      },
      {requiredKeys: []},
    ),
    problems: fc.array(anyText, {maxLength: 1}),
  });
  const toJson = (node: Node | undefined): unknown => {
    if (node === undefined || node.kind === 'text') return node;
    if (node.kind === 'list') return node.items.map(toJson);
    return Array.from(node.entries, ([key, value]) => [key, toJson(value)]);
  };

  fuzz(
    'are read as a parser of YAML reads them',
    fc.asyncProperty(
      fc.uniqueArray(anySession, {minLength: 1, maxLength: 5, selector: ({id}) => id}),
      fc.constantFrom('yaml' as const, 'json' as const),
      async (sessions: WrittenSession[], format) => {
        let text = '';
        for await (const piece of writeBudgets(one(sessions), {format})) text += piece;
        const {root, problems} = await readYaml(text);
        expect(problems).toEqual([]);
        const plain = readPlainLines(text);
        const whole =
          root?.kind === 'map' ? [...root.entries].find(([key]) => key.text === 'sessions')?.[1] : undefined;
        if (plain !== undefined) expect(toJson(plain.sessions)).toEqual(toJson(whole));
      },
    ),
  );

  /** Of which a line is made, right and wrong. */
  const piece = fc.constantFrom(
    ...[
      '  a:',
      '  "b c":',
      '  team:c:',
      '  d: {budget: 5}',
      '  e: {budget: 5, note: as asked}',
      '  f: {}',
      '  g',
      '  "h',
    ],
    ...['    budget: 5', '    note: as asked', '    at: 09:00', '    "on": monday', '    note: "x # y"', '    - 5'],
    ...[
      '      budget: 5',
      '   budget: 5',
      '    budget:',
      '    budget: 5: 6',
      '    -x: 5',
      '    a b: 5',
      '    note: x y:',
    ],
    ...[' # note: x', ' ', '', '# a', '    # note: x', '  # y', '\t', '\r', ' &x', ' *x', ' |', '{}', '\u2028', ','],
  );
  const somePieces = fc.oneof(
    {
      arbitrary: fc.tuple(piece, fc.constantFrom('', '', '', ' # note: x', ' ', '\r', '#')).map((two) => two.join('')),
      weight: 6,
    },
    {arbitrary: fc.array(piece, {maxLength: 3}).map((list) => list.join('')), weight: 1},
  );

  fuzz(
    'in any order are read as a parser of YAML reads them, or left to it',
    fc.asyncProperty(
      fc.array(somePieces, {minLength: 1, maxLength: 8}),
      fc.constantFrom('\n', '\n', '\r\n'),
      fc.constantFrom('', 'rules: []\n', '  z: {}'),
      async (lines, newline, end) => {
        const text = `version: 1${newline}sessions:${newline}${lines.join(newline)}${newline}${end}`;
        const plain = readPlainLines(text);
        if (plain === undefined) return;
        const {root, problems} = await readYaml(text);
        expect(problems).toEqual([]);
        const whole =
          root?.kind === 'map' ? Object.fromEntries([...root.entries].map(([{text: name}, node]) => [name, node])) : {};
        expect(toJson(plain.sessions)).toEqual(toJson(whole['sessions']));
      },
    ),
    0.02,
  );

  test('take a line for each field, too', async () => {
    const text = `version: 1\nsessions:\n  # of the team\n  a: # for now\n    budget: 5 # x: y\n\n    period: month\n    # note: z\n    "timezone": "Europe/Berlin"\n  b: {budget: 6}\n`;
    expect(readPlainLines(text)).toBeDefined();
    expect(await budgetsOf(text)).toEqual({a: '5', b: '6'});
    expect(await mistakesOf(text.replace('period: month', 'period: moon'))).toEqual([
      "7:13 period: Invalid period 'moon'. Write one of day, week, month, year, none.",
    ]);
  });

  test('of which several have the same text have their mistakes in each', async () => {
    const text =
      'version: 1\ndefaults: {at: 09:00}\nsessions:\n  a: {budget: x}\n  b: {budget: 5}\n  c: {budget: x}\n  d: {budget: 5}\n';
    expect(readPlainLines(text)).toBeDefined();
    const why = 'it is not a plain decimal number. Write US dollars as plain digits, for example 25.50.';
    expect(await mistakesOf(text)).toEqual([
      `4:15 budget: Invalid amount 'x': ${why}`,
      `6:15 budget: Invalid amount 'x': ${why}`,
    ]);
    expect(await budgetsOf(text.replaceAll('x', '6'))).toEqual({a: '6', b: '5', c: '6', d: '5'});
  });

  test('take comments, blank lines, quotes and other sections around them', async () => {
    const text = `# of the team\nversion: 1\nscope: ['*']\nsessions:\n  a: {budget: 5} # for now\n\n  # another\n  "b\\n": {budget: 6, note: asked for in the ticket}\nrules:\n  - {match: 'x*', budget: 1}\n`;
    expect(readPlainLines(text)).toBeDefined();
    expect(await budgetsOf(text)).toEqual({a: '5', 'b\n': '6'});
    expect(await mistakesOf(text.replace('budget: 1}', 'budget: x}'))).toEqual([
      "10:27 budget: Invalid amount 'x': it is not a plain decimal number. Write US dollars as plain digits, for example 25.50.",
    ]);
  });

  test.each([
    '  a: {budget: [5]}',
    '  a: {budget: 5}}',
    '  a : {budget: 5}',
    '  ? a',
    '   a: {}',
    '  a: {budget: 5',
    '  &x a: {}',
  ])('%j is left to the parser', (line) => {
    expect(readPlainLines(`version: 1\nsessions:\n  z: {}\n${line}\n  y: {}\n`)).toBeUndefined();
  });
});

async function* one<T>(item: T): AsyncGenerator<T> {
  yield await Promise.resolve(item);
}
