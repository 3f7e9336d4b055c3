import {appendFileSync} from 'node:fs';

import fc from 'fast-check';
import {test} from 'vitest';

/** Cases of a fast property; `npm run fuzz` asks for more. */
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 60);
const SEED = process.env['FUZZ_SEED'];

/**
 * A property as a test. A failure names the seed for FUZZ_SEED. `cost` divides the number of cases: about 1 for pure
 * code, 10 for requests to Redis, 40 for starting a process.
 */
export function fuzz<Values>(title: string, property: fc.IRawProperty<Values>, cost = 1): void {
  test(title, {timeout: 600_000}, async () => {
    const numRuns = Math.max(3, Math.ceil(RUNS / cost));
    await fc.assert(property, {numRuns, ...(SEED === undefined ? {} : {seed: Number(SEED)})});
    const tally = process.env['FUZZ_TALLY'];
    if (tally !== undefined) appendFileSync(tally, `${numRuns}\n`);
  });
}

/** Characters that mean something to a terminal, a shell, a spreadsheet, JSON, Redis, Slack or Prometheus. */
const special = fc.constantFrom(
  ...[
    '\u001b[31m',
    '\u001b]0;x\u0007',
    '\u009b2J',
    '\b',
    '\r',
    '\n',
    '\t',
    '\0',
    '\u007f',
    '\u0085',
    '\u00ad',
    '\u061c',
  ],
  ...['\u200b', '\u200e', '\u200f', '\u2028', '\u2029', '\u202a', '\u202e', '\u2066', '\u2069', '\ufeff', '\u{e0041}'],
  ...[
    '=',
    '+',
    '-',
    '@',
    '--',
    '"',
    "'",
    '\\',
    '`',
    '$(id)',
    '${x}',
    '%s',
    '%',
    ',',
    ';',
    ':',
    '*',
    '?',
    '[a]',
    '{',
    '}',
  ],
  ...[
    '<!channel>',
    '<https://x|y>',
    '&amp;',
    '@here',
    '|',
    '║',
    '日本',
    '👍',
    'e\u0301',
    'a',
    '1',
    ' ',
    ':budget',
    ':spent',
  ],
);

/** Any character that UTF-8 can hold. fast-check's own `binary` keeps a table of all of them, which takes half a second. */
export const anyCharacter = fc.integer({min: 0, max: 0x10_f7_ff}).map(
  (number) => String.fromCodePoint(number < 0xd800 ? number : number + 0x800),
  (text) => {
    const [first, second] = typeof text === 'string' ? text : '';
    const point = first?.codePointAt(0);
    if (point === undefined || second !== undefined) throw new TypeError('more or less than one character');
    return point < 0xd800 ? point : point - 0x800;
  },
);

/** Any text that UTF-8 can hold. */
export const anyText = fc.oneof(
  fc.string({unit: anyCharacter}),
  fc.string({unit: 'grapheme'}),
  fc.array(special, {maxLength: 6}).map((list) => list.join('')),
);
export const someText = anyText.filter((text) => text !== '');

/** Any JavaScript string, including unpaired surrogates. */
export const anyString = fc.oneof(
  anyText,
  fc.array(fc.integer({min: 0, max: 0xffff}), {maxLength: 8}).map((units) => String.fromCharCode(...units)),
  fc.array(fc.oneof(special, fc.constantFrom('\ud800', '\udfff')), {maxLength: 4}).map((list) => list.join('')),
);

/** What Redis can hold in a key or a value. */
export const anyBytes = fc.oneof(
  anyText.map((text) => Buffer.from(text)),
  fc.uint8Array({maxLength: 12}).map((bytes) => Buffer.from(bytes)),
);

const digits = (max: number): fc.Arbitrary<string> => fc.stringMatching(new RegExp(`^\\d{1,${max}}$`));

/** A decimal as Python writes it. */
export const pythonDecimal = fc
  .tuple(fc.constantFrom('', '-'), digits(18), fc.option(digits(20)), fc.option(fc.integer({min: -30, max: 30})))
  .map(
    ([sign, whole, fraction, exponent]) =>
      `${sign}${whole}${fraction === null ? '' : `.${fraction}`}${exponent === null ? '' : `E${exponent < 0 ? '' : '+'}${exponent}`}`,
  );

export const anyMoneyText = fc.oneof(
  pythonDecimal,
  fc.stringMatching(/^[-+0-9._eE]{0,12}$/),
  fc.constantFrom('nan', 'sNaN1', 'inf', '-Infinity', '1e999', '1e-999', '1e99999', '9'.repeat(1001), '', ' 5 ', '٣'),
  anyText,
);

/**
 * Characters that could fool a terminal or its reader, written independently of the tested code. A line feed ends a
 * line.
 */
export const UNSAFE =
  // eslint-disable-next-line no-control-regex, no-misleading-character-class -- that is what it looks for
  /[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\u{e0000}-\u{e0fff}]/u;

/** JSON whose numbers stay texts of digits: the result of a reader with exact numbers. */
export function parseExactJson(json: string): unknown {
  const token = /("(?:[^"\\]|\\.)*")|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/g;
  return JSON.parse(json.replace(token, (_, text: string | undefined, number: string) => text ?? `"${number}"`));
}

/** RFC 4180: records of fields; a field may hold anything within quotes. */
export function parseCsv(text: string): string[][] {
  const records: string[][] = [];
  let record: string[] = [];
  for (let at = 0; at < text.length;) {
    const [field, quoted] = /"((?:[^"]|"")*)"|[^",\r\n]*/y.exec(text.slice(at)) ?? [''];
    record.push(quoted === undefined ? field : quoted.replaceAll('""', '"'));
    at += field.length;
    if (text[at] === ',') {
      at++;
      if (at < text.length) continue;
      record.push('');
    }
    if (at < text.length && text[at] !== '\n') throw new Error(`unreadable CSV at ${at}: ${JSON.stringify(text)}`);
    at++;
    records.push(record);
    record = [];
  }
  return records;
}
