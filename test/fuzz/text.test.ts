import {execFileSync} from 'node:child_process';

import {Big} from 'big.js';
import fc from 'fast-check';
import {describe, expect} from 'vitest';

import {toCommandLine} from '../../src/cli/copyable/shell-quote.js';
import {toCsvCell} from '../../src/cli/text/csv.js';
import {escapeJson, showText} from '../../src/cli/text/escape.js';
import {stringifyJson} from '../../src/cli/text/json.js';
import {drawTable} from '../../src/cli/text/table.js';
import {readIds, writeIdLine} from '../../src/cli/views/id-lines.js';
import {renderMetrics} from '../../src/cli/views/prometheus.js';
import {addressOf, parseRedisUrl, secretsOfUrl} from '../../src/lib/redis/url.js';
import {TokengateError} from '../../src/lib/values/errors.js';
import {
  formatExactMoney,
  formatMoney,
  parseAmount,
  parseStoredMoney,
  toPlainDigits,
} from '../../src/lib/values/money.js';
import {nameOf, parseSessionId, rawId} from '../../src/lib/values/session-id.js';
import {
  formatDuration,
  formatGatewayTime,
  parseDuration,
  parseGatewayTime,
  parseTime,
} from '../../src/lib/values/time.js';
import {
  anyBytes,
  anyCharacter,
  anyMoneyText,
  anyString,
  anyText,
  fuzz,
  parseCsv,
  parseExactJson,
  pythonDecimal,
  someText,
  UNSAFE,
} from '../support/fuzz.js';

/** The value, or the error; anything but a TokengateError flies. */
function attempt<T>(parse: () => T): T | TokengateError {
  try {
    return parse();
  } catch (error) {
    if (error instanceof TokengateError) return error;
    throw error;
  }
}

describe('text that is shown', () => {
  fuzz(
    'has nothing that acts on a terminal, and different texts of plain words stay different',
    fc.property(anyString, (text) => {
      const shown = showText(text);
      expect(shown).not.toMatch(UNSAFE);
      expect(shown).not.toContain('\n');
      expect(shown.isWellFormed()).toBe(true);
      expect(showText(shown)).toBe(shown);
    }),
  );

  fuzz(
    'keeps a table of its lines',
    fc.asyncProperty(fc.array(fc.tuple(anyString, anyString), {minLength: 1, maxLength: 4}), async (rows) => {
      const table = [
        ...(await drawTable(
          ['A', 'B'],
          rows.map((row) => row.map(showText)),
        )),
      ].join('');
      expect(table).not.toMatch(UNSAFE);
      expect(table.trimEnd().split('\n')).toHaveLength(rows.length + 4);
    }),
  );
});

describe('session IDs', () => {
  fuzz(
    'any text is an ID that has its name back; what is no text is refused',
    fc.property(anyString, (text) => {
      const id = attempt(() => parseSessionId(text));
      if (text === '' || !text.isWellFormed()) expect(id).toMatchObject({code: 'INVALID_SESSION_ID'});
      else expect(nameOf(id as never)).toBe(text);
    }),
  );

  fuzz(
    'any bytes have a name that is text',
    fc.property(anyBytes, (bytes) => {
      const name = nameOf(rawId(bytes.toString('latin1')));
      expect(name.isWellFormed()).toBe(true);
      expect(name === '').toBe(bytes.length === 0);
    }),
  );

  fuzz(
    'come back from lines, and from what is ended by NUL',
    fc.property(fc.array(someText), (ids) => {
      const raw = ids.map(parseSessionId);
      expect(readIds(Buffer.from(raw.map((id) => writeIdLine(id, false)).join('')), false)).toEqual(raw);
      const withoutNul = ids.filter((id) => !id.includes('\0'));
      const lines = withoutNul.map((id) => writeIdLine(parseSessionId(id), true)).join('');
      expect(readIds(Buffer.from(lines), true)).toEqual(withoutNul.map(parseSessionId));
    }),
  );

  fuzz(
    'are read from any bytes, or refused',
    fc.property(anyBytes, fc.boolean(), (bytes, nul) => {
      const ids = attempt(() => readIds(bytes, nul));
      if (!(ids instanceof TokengateError)) expect(ids).not.toContain('');
    }),
  );
});

describe('amounts', () => {
  fuzz(
    'as typed are kept digit by digit or refused',
    fc.property(anyMoneyText, (typed) => {
      const amount = attempt(() => parseAmount(typed));
      if (amount instanceof TokengateError) {
        expect(amount).toMatchObject({code: 'INVALID_AMOUNT'});
        return;
      }
      expect(amount.text).toMatch(/^\d{1,18}(\.\d+)?$/);
      expect(amount.value.eq(typed.startsWith('.') ? `0${typed}` : typed)).toBe(true);
      expect(parseStoredMoney(amount.text)?.eq(amount.value)).toBe(true);
    }),
  );

  fuzz(
    'as stored are finite, of a length that can be shown, or none',
    fc.property(anyMoneyText, (text) => {
      const amount = parseStoredMoney(text);
      if (amount === undefined) return;
      for (const shown of [formatMoney(amount), formatExactMoney(amount)]) {
        expect(shown).toMatch(/^-?\$\d+\.\d{2,}$/);
        expect(shown.length).toBeLessThan(3500);
      }
      expect(toPlainDigits(amount)).not.toMatch(/e/i);
    }),
  );

  fuzz(
    'are JSON numbers with all their digits',
    fc.property(pythonDecimal, (text) => {
      const amount = parseStoredMoney(text)!;
      const {a, b} = parseExactJson(stringifyJson({a: amount, b: [amount]})) as {a: string; b: string[]};
      expect(new Big(a).eq(amount.toString())).toBe(true);
      expect(b).toEqual([a]);
      expect(new Big(formatExactMoney(amount).replace('$', '')).eq(amount.toString())).toBe(true);
    }),
  );
});

describe('times and lengths of time', () => {
  const near = fc.stringMatching(
    /^\d{4}-?[01]\d-?[0-3]\d[T ]?([0-2]\d:?[0-6]?\d?:?\d?\d?([.,]\d{0,9})?(Z|[+-]\d\d:?\d\d)?)?$/,
  );

  fuzz(
    'a time in Redis is read as Python reads it, or is unreadable',
    fc.property(fc.oneof(near, anyText), (text) => {
      const time = parseGatewayTime(text);
      if (time.kind === 'unreadable') return;
      expect(Number.isNaN(time.at.getTime())).toBe(false);
      if (time.kind === 'time' && time.at.getUTCFullYear() > 0) {
        expect(parseGatewayTime(formatGatewayTime(time.at))).toEqual(time);
      }
    }),
  );

  fuzz(
    'a time as typed is one, or is refused',
    fc.property(fc.oneof(near, anyText), (text) => {
      const at = attempt(() => parseTime(text));
      if (at instanceof TokengateError) expect(at.code).toBe('INVALID_TIME');
      else expect(at.toISOString()).toMatch(/Z$/);
    }),
  );

  fuzz(
    'a length of time as typed is one, or is refused; what is shown is read back',
    fc.property(fc.oneof(fc.stringMatching(/^(\d{1,4}[smhdwy]){0,4}$/), anyText), fc.nat(1e12), (text, length) => {
      const seconds = attempt(() => parseDuration(text));
      if (seconds instanceof TokengateError) expect(seconds.code).toBe('INVALID_DURATION');
      else expect(Number.isSafeInteger(seconds) && seconds > 0).toBe(true);
      const shown = parseDuration(formatDuration(length));
      const exact = Math.max(1, Math.ceil(length / 1000));
      expect(shown).toBeLessThanOrEqual(exact);
      expect(exact - shown).toBeLessThan(exact < 3600 ? 1 : exact < 86_400 ? 60 : 3600);
    }),
  );
});

describe('Redis URLs', () => {
  const encode = encodeURIComponent;
  const host = fc.oneof(fc.constantFrom('h', 'redis.example.com', '10.0.0.1', '[::1]', '[2001:db8::7]'), fc.domain());
  const word = someText.filter((text) => text.isWellFormed());

  fuzz(
    'what was composed is read back, and the password is among the secrets',
    fc.property(
      host,
      fc.option(fc.integer({min: 1, max: 65_535})),
      fc.option(word),
      word,
      fc.nat(99),
      fc.constantFrom('redis', 'rediss', 'redis+sentinel'),
      (name, port, user, password, database, scheme) => {
        const login = `${user === null ? '' : encode(user)}:${encode(password)}@`;
        const primary = scheme === 'redis+sentinel' ? '/primary' : '';
        const url = `${scheme}://${login}${name}${port === null ? '' : `:${port}`}${primary}/${database}`;
        const target = parseRedisUrl(url);
        expect(target).toMatchObject({credentials: {username: user ?? undefined, password}, database});
        const address = addressOf(target.endpoints[0]);
        expect(address).toBe(`${name}:${port ?? (primary === '' ? 6379 : 26_379)}`);
        expect(secretsOfUrl(url)).toContain(password);
        expect(secretsOfUrl(url)).toContain(encode(password));
      },
    ),
  );

  fuzz(
    'any text is one, or is refused without a word of it',
    fc.property(
      fc.constantFrom('redis://', 'rediss://', 'unix://', 'redis+sentinel://', 'http://', '', '://'),
      fc.array(
        fc.oneof(anyText, fc.constantFrom('@', ':', '/', '?', '#', '&', 'db=', 'ssl_cert_reqs=', '%zz', '[', ']')),
        {
          maxLength: 6,
        },
      ),
      (scheme, parts) => {
        const secret = 'Xy7Zq9hunter2';
        const target = attempt(() => parseRedisUrl(`${scheme}${parts.join('')}${secret}${parts.join('')}`));
        if (!(target instanceof TokengateError)) return;
        expect(target.code).toBe('INVALID_REDIS_URL');
        expect(`${target.message}${target.hint ?? ''}`).not.toContain(secret);
      },
    ),
  );
});

describe('what scripts read', () => {
  fuzz(
    'JSON is the same value, and safe to print',
    fc.property(fc.jsonValue({stringUnit: anyCharacter}), anyString, (value, text) => {
      const expected = JSON.parse(JSON.stringify({value, text})) as unknown;
      for (const indent of ['', '  ']) {
        const json = stringifyJson({value, text}, indent);
        expect(json).not.toMatch(UNSAFE);
        expect(JSON.parse(json)).toEqual(expected);
      }
      expect(JSON.parse(escapeJson(JSON.stringify(text)))).toBe(text);
    }),
  );

  fuzz(
    'CSV is the same values, but for the apostrophe before what a spreadsheet would run',
    fc.property(fc.array(fc.tuple(anyText, anyText, anyText), {maxLength: 5}), (rows) => {
      const text = rows.map((row) => `${row.map((text) => toCsvCell(text)).join(',')}\n`).join('');
      const read = parseCsv(text);
      expect(read).toEqual(rows.map((row) => row.map((cell) => (/^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell))));
      for (const cell of read.flat()) expect(cell).not.toMatch(/^[=+\-@\t\r]/);
    }),
  );

  fuzz(
    'labels of metrics are the same text, one sample a line',
    fc.property(fc.array(anyText, {maxLength: 4}), pythonDecimal, (texts, amount) => {
      const samples = texts.map((text) => ({labels: {session_id: text}, value: parseStoredMoney(amount)!}));
      const metrics = {gauges: [{name: 'x', help: 'y', samples}], sessions: 1, leftOut: 0};
      const lines = [...renderMetrics(metrics, {maxSeries: 9, isTerminal: false})].join('').split('\n').slice(2, -1);
      const read = lines.map((line) => /^x\{session_id="((?:[^"\\]|\\.)*)"\} (-?\d+(?:\.\d+)?)$/su.exec(line)!);
      const unescape = (text: string): string => text.replace(/\\(.)/g, (_, one: string) => (one === 'n' ? '\n' : one));
      expect(read.map(([, label]) => unescape(label!))).toEqual(texts);
      for (const [, , value] of read) expect(new Big(value!).eq(toPlainDigits(parseStoredMoney(amount)!))).toBe(true);
      const shown = [...renderMetrics(metrics, {maxSeries: 9, isTerminal: true})].join('');
      expect(shown).not.toMatch(UNSAFE);
    }),
  );
});

describe('commands for copying', () => {
  fuzz(
    'are words that bash hands on as they are',
    // Several lines to a shell: starting it is what takes the time.
    fc.property(fc.array(fc.array(anyText, {minLength: 1, maxLength: 4}), {minLength: 1, maxLength: 20}), (lists) => {
      const lines = lists.map((words) => ({words, line: toCommandLine(['show', ...words])}));
      const known = lines.filter(({line}) => line !== null);
      for (const {words, line} of lines) expect(line === null).toBe(words.some((word) => word.includes('\0')));
      const script = ["show() { printf '%s\\0' \"$@\"; printf '\\0END\\0'; }", ...known.map(({line}) => line)].join(
        '\n',
      );
      const output = execFileSync('bash', ['-c', script], {encoding: 'utf8'});
      const read = output
        .split('\0\0END\0')
        .slice(0, -1)
        .map((text) => text.split('\0'));
      expect(read).toEqual(known.map(({words}) => words));
      expect(script).not.toMatch(UNSAFE);
    }),
    10,
  );
});
