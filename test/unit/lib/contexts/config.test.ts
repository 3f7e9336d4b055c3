import {describe, expect, test} from 'vitest';

import {parseConfig} from '../../../../src/lib/contexts/config.js';
import {TokengateError} from '../../../../src/lib/values/errors.js';

const PATH = '/etc/tg/config.yaml';
const prod = (fields: string): string => `contexts: {prod: {${fields}}}`;
const parse = (text: string): ReturnType<typeof parseConfig> => parseConfig(text, PATH);

test('a context has all that is written, with paths from the folder of the file', async () => {
  const {contexts, ...rest} = await parse(`default: staging
contexts:
  staging: {redis-url: 'redis://staging:6379'}
  prod: {redis-url-file: secrets/prod, tls-ca: ca.pem, tls-cert: /c.pem, tls-key: k.pem, tls-server-name: r, timeout: 0.50, actor: ops, color: red, protected: true}
  audit: {redis-url-command: [op, read, 'op://ops/redis', 7], read-only: true}
  own: {redis-url-command: [./url]}
`);
  const none = {
    ...{timeout: undefined, actor: undefined, color: undefined, isProtected: false, isReadOnly: false},
    tls: {caFile: undefined, certFile: undefined, keyFile: undefined, serverName: undefined},
  };
  expect(rest).toEqual({default: 'staging', isSecret: true});
  expect([...contexts.values()]).toEqual([
    {...none, name: 'staging', source: {from: 'redis-url', url: 'redis://staging:6379'}},
    {
      name: 'prod',
      source: {from: 'redis-url-file', file: '/etc/tg/secrets/prod'},
      tls: {caFile: '/etc/tg/ca.pem', certFile: '/c.pem', keyFile: '/etc/tg/k.pem', serverName: 'r'},
      ...{timeout: '0.50', actor: 'ops', color: 'red', isProtected: true, isReadOnly: false},
    },
    {
      ...none,
      name: 'audit',
      source: {from: 'redis-url-command', command: ['op', 'read', 'op://ops/redis', '7']},
      isReadOnly: true,
    },
    {...none, name: 'own', source: {from: 'redis-url-command', command: ['/etc/tg/url']}},
  ]);
});

test.each(['', '# nothing\n', 'contexts:\n', 'contexts: {}', '{}'])('%j has no contexts', async (text) => {
  expect(await parse(text)).toEqual({default: undefined, contexts: new Map(), isSecret: false});
});

test.each([
  ['a password', 'redis-url: redis://u:p@h', true],
  ['a password of Sentinels', 'redis-url: "redis+sentinel://h/m?sentinel_password=p"', true],
  ['a program', 'redis-url-command: [pass, redis]', true],
  ['a file', 'redis-url-file: /run/secrets/prod', false],
  ['no password', 'redis-url: redis://h', false],
])('a file with %s', async (_, fields, isSecret) => {
  expect((await parse(prod(fields))).isSecret).toBe(isSecret);
});

describe('a mistake is named with line and column:', () => {
  test.each([
    ['context: {}', '1, column 1', "unknown field 'context' in the file"],
    ['default: prod\n', '1, column 10', "the default 'prod' is none of the contexts"],
    ['default:\n', '1, column 9', 'default is not a text'],
    ['contexts: [a]', '1, column 11', "'contexts' is not a list of fields with values"],
    ['- a', '1, column 1', 'the file is not a list of fields with values'],
    [
      'contexts:\n  prod:\n    redis-ulr: redis://h\n',
      '3, column 5',
      "unknown field 'redis-ulr' in the context 'prod'",
    ],
    ['contexts:\n  prod: redis://h\n', '2, column 9', "the context 'prod' is not a list of fields with values"],
    ['contexts: {prod: }', '1, column 12', "the context 'prod' has no URL"],
    ['contexts: {-x: {redis-url: redis://h}}', '1, column 12', "'-x' is not a name"],
    ['contexts: {"a b": {redis-url: redis://h}}', '1, column 12', "'a b' is not a name"],
    ['contexts: {redis://u:s3cret@h: {}}', '1, column 12', '(not shown) is not a name'],
    [
      prod('redis-url: redis://h, redis-url-file: f'),
      '1, column 41',
      "the context 'prod' has both redis-url and redis-url-file",
    ],
    [prod('redis-url: http://u:s3cret@h'), '1, column 30', 'invalid Redis URL: its scheme is none of'],
    [prod('redis-url: [redis://h]'), '1, column 30', 'redis-url is not a text'],
    [prod('redis-url: ""'), '1, column 30', 'redis-url is not a text'],
    [prod('redis-url: redis://h, timeout: 2s'), '1, column 50', "'2s' is not a time limit in seconds"],
    [prod('redis-url: redis://h, timeout: 0'), '1, column 50', "'0' is not a time limit in seconds"],
    [prod('redis-url: redis://h, color: pink'), '1, column 48', "'pink' is not a color"],
    [prod('redis-url: redis://h, protected: yes'), '1, column 52', 'protected is not true or false'],
    [prod("redis-url: redis://h, read-only: 'true'"), '1, column 52', 'read-only is not true or false'],
    [prod('redis-url-command: op read'), '1, column 38', 'redis-url-command is not a list of words'],
    [prod('redis-url-command: []'), '1, column 38', 'redis-url-command is not a list of words'],
    [prod('redis-url-command: [op, {a: b}]'), '1, column 38', 'redis-url-command is not a list of words'],
    ['contexts:\n\tprod: {}', '2, column 1', 'this is not YAML (Tabs are not allowed as indentation)'],
    [prod('redis-url: redis://h, redis-url: redis://i'), '1, column 41', 'this is not YAML (Map keys must be unique)'],
    [prod('redis-url: "redis://u:s3cret@h" "s3cret"'), '1, column 51', 'this is not YAML (Unexpected'],
  ])('%j', async (text, place, why) => {
    const error = await parse(text).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TokengateError);
    const {code, message, hint = ''} = error as TokengateError;
    expect(code).toBe('INVALID_CONFIG');
    expect(message).toContain(`Invalid context file '${PATH}', line ${place}: ${why}`);
    expect(message + hint).not.toContain('s3cret');
  });
});
