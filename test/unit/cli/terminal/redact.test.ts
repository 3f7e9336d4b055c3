import {expect, test} from 'vitest';

import {keepSecretUrl, redact} from '../../../../src/cli/terminal/redact.js';

test.each(['unix:///run/redis.sock?db=4', 'rediss://h:1/2?ssl_cert_reqs=none&db=3', 'redis://h'])(
  'a URL without a secret is shown, so that a command with it can be pasted: %s',
  (url) => {
    keepSecretUrl(url);
    expect(redact(`--redis-url '${url}'`)).toBe(`--redis-url '${url}'`);
  },
);

test.each([
  'redis://h?db=hunter2',
  'redis://h?password=hunter2',
  'redis://h?db=1&hunter2',
  'redis://hunter2@h?db=1',
  'rediss://h?ssl_password=hunter2',
  'rediss://h?ssl_keyfile_password=hunter2&db=1',
  'rediss://h?ssl_keyfile=u:hunter2@h',
])('one that may hold a secret anywhere is not: %s', (url) => {
  keepSecretUrl(url);
  expect(redact(`--redis-url '${url}'`)).toBe(`--redis-url '***'`);
});
