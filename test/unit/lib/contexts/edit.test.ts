import {expect, test} from 'vitest';

import {addContext, removeContext} from '../../../../src/lib/contexts/edit.js';

const path = '/etc/tg/config.yaml';
const TEXT = `# Servers of the team
default: staging # since March

contexts:
  # Everybody may break this one
  staging: {redis-url: 'redis://staging:6379'}

  prod: {redis-url-file: /run/secrets/prod, protected: true} # careful
`;

test('a new context comes last, and comments and order stay', async () => {
  const fields = {'redis-url': 'redis://dev', timeout: 0.5, protected: true};
  const {text, context} = await addContext({text: TEXT, path}, {name: 'dev', fields, isDefault: false});
  expect(text).toBe(`${TEXT}  dev:\n    redis-url: redis://dev\n    timeout: 0.5\n    protected: true\n`);
  expect(context).toMatchObject({name: 'dev', timeout: '0.5', isProtected: true});
});

test.each([
  ['', 'default: dev\ncontexts:\n  dev:\n    redis-url: redis://dev\n'],
  ['# Mine\ncontexts: {}\n', 'default: dev\n# Mine\ncontexts:\n  dev:\n    redis-url: redis://dev\n'],
  [TEXT, TEXT.replace('default: staging', 'default: dev').concat('  dev:\n    redis-url: redis://dev\n')],
])('a new default is written to %j', async (before, after) => {
  const added = {name: 'dev', fields: {'redis-url': 'redis://dev'}, isDefault: true};
  expect((await addContext({text: before, path}, added)).text).toBe(after);
});

test('what was added can be removed again', async () => {
  const added = {name: 'dev', fields: {'redis-url': 'redis://dev'}, isDefault: false};
  const {text} = await addContext({text: TEXT, path}, added);
  expect(await removeContext({text, path}, 'dev')).toMatchObject({text: TEXT, wasDefault: false});
});

test('the default goes with its context', async () => {
  const {text, wasDefault} = await removeContext({text: TEXT, path}, 'staging');
  expect(wasDefault).toBe(true);
  expect(text).not.toMatch(/default|staging/);
  expect(text).toContain('prod: {redis-url-file: /run/secrets/prod, protected: true} # careful\n');
});

test.each([
  [
    'add one that there is',
    () => addContext({text: TEXT, path}, {name: 'prod', fields: {'redis-url': 'redis://h'}, isDefault: false}),
    "There is a context 'prod' already.",
  ],
  [
    'add one without a name',
    () => addContext({text: TEXT, path}, {name: 'a b', fields: {'redis-url': 'redis://h'}, isDefault: false}),
    "'a b' is not a name.",
  ],
  [
    'add one with a bad URL',
    () => addContext({text: TEXT, path}, {name: 'dev', fields: {'redis-url': 'http://h'}, isDefault: false}),
    'invalid Redis URL',
  ],
  [
    'remove one that there is not',
    () => removeContext({text: TEXT, path}, 'dev'),
    `There is no context 'dev' in ${path}.`,
  ],
  ['change what is wrong', () => removeContext({text: 'a: 1', path}, 'dev'), "unknown field 'a'"],
])('%s', async (_, change, message) => {
  await expect(change()).rejects.toThrow(message);
});
