import fc from 'fast-check';
import {expect, test} from 'vitest';

import {readPlainTree, readTree} from '../../../../src/lib/contexts/tree.js';
import {readYamlTree} from '../../../../src/lib/contexts/yaml-tree.js';

const refuse = (offset: number, why: string): never => {
  throw new Error(`${offset}: ${why}`);
};

const FILE = `# Servers
default: staging # of this machine

contexts:
  # Everybody may break this one
  staging: {redis-url: 'redis://staging:6379'}

  prod: {redis-url-file: /run/secrets/prod, tls-ca: ca.pem, timeout: 2, color: "red", protected: true}
  audit: {redis-url-command: [op, read, 'op://ops/redis'], read-only: true}
  dev:
    redis-url: redis://dev:6380/1   # in the office
    timeout: 0.5
`;

test('what most files use is read without the package for YAML, and is the same', async () => {
  expect(readPlainTree(FILE)).toEqual(await readYamlTree(FILE, refuse));
});

const PIECES = [
  ...[
    'a',
    'b',
    'default',
    'a: ',
    'b: ',
    'a:',
    ': ',
    ':',
    '  ',
    ' ',
    '\n',
    '\n  ',
    '\n    ',
    '\n a: b',
    '\na: b',
    '\n  b: {a: b}',
  ],
  ...[
    '{',
    '}',
    '[',
    ']',
    ', ',
    ',',
    '#',
    ' # x',
    "'",
    '"',
    "'x'",
    '"y"',
    '\\',
    '-',
    '- ',
    '? ',
    '|',
    '>',
    '&x',
    '*x',
    '!t',
  ],
  ...[
    '1',
    '0',
    '2.5',
    '07',
    '1e3',
    '.5',
    'true',
    'no',
    'null',
    '~',
    'x y',
    'redis://h:1/2',
    './f',
    '---',
    '%',
    '@',
    '`',
    '\t',
    'ä',
  ],
];

test('whatever it reads, it reads as YAML', async () => {
  let count = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(...PIECES), {maxLength: 14}), async (pieces) => {
      const text = pieces.join('');
      const tree = readPlainTree(text);
      if (tree === undefined) return;
      count++;
      expect(tree).toEqual(await readYamlTree(text, refuse));
    }),
    {
      numRuns: Number(process.env['FUZZ_RUNS'] ?? 20_000),
      examples: [[['a: ', 'b', '\n  b: {a: b}']], [['a: ', '{', 'a: ', '1', '}']]],
    },
  );
  expect(count).toBeGreaterThan(10);
});

test('all else of YAML is read too', async () => {
  const text = 'x: &one {a: "\\u0041"}\ny: *one\nz: |\n  text\nl:\n  - 1\n  - [q]\n';
  const scalar = (value: unknown): object => expect.objectContaining({kind: 'scalar', value}) as object;
  const one = expect.objectContaining({
    kind: 'map',
    entries: [expect.objectContaining({name: 'a', value: scalar('A')})],
  }) as object;
  expect(await readTree(text, refuse)).toMatchObject({
    kind: 'map',
    entries: [
      {name: 'x', value: one},
      {name: 'y', value: one},
      {name: 'z', value: scalar('text\n')},
      {name: 'l', value: {kind: 'list', items: [scalar(1), {kind: 'list', items: [scalar('q')]}]}},
    ],
  });
});

test.each([
  ['a: 1\na: 2', '5: this is not YAML (Map keys must be unique)'],
  ['a:\n\tb: 1', '3: this is not YAML (Tabs are not allowed as indentation)'],
  ['a: {b: 1', '8: this is not YAML (Flow map in block collection must be sufficiently indented and end with a })'],
  ['a: 1\n---\nb: 2', '5: this is not YAML (Source contains multiple documents)'],
  ['? [a]\n: b', '2: this is not the name of a field'],
  ['a: *b', '3: this alias has no anchor'],
])('%j is refused where it is wrong', async (text, message) => {
  await expect(readTree(text, refuse)).rejects.toThrow(message);
});
