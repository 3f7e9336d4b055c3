import {chmod, mkdir, readFile, writeFile} from 'node:fs/promises';

import {afterAll, afterEach, beforeAll, describe, expect, test} from 'vitest';

import {openTerminal} from '../support/program/pty.js';
import type {Output} from '../support/program/run.js';
import {loadSessions, makeShell, type Shell} from '../support/program/shell.js';
import {gatewayKeys} from '../support/redis/keyspace.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';

// What the document of the Python CLI promises, line by line, with `tokengate` in place of `python tokengate_cli.py`.

const NOWHERE = 'unix:///nowhere/redis.sock';

let redis: TestRedis;
let shell: Shell;
beforeAll(async () => {
  redis = await startRedis({tcp: true});
  shell = await makeShell();
});
afterEach(() => redis.client.flushDb());
afterAll(async () => {
  await redis.stop();
  await shell.remove();
});

/** Runs a part of the document; its two host names stand for the test's server. */
async function run(script: string, {url = redis.url}: {url?: string} = {}): Promise<Output> {
  return shell.run(script.replaceAll(/redis:\/\/(prod-redis|other-host):6379/g, redis.url), {url});
}

/** Runs a part of the document that must end well and say nothing but its answer. */
async function answerOf(script: string, news: readonly string[] = []): Promise<string> {
  const {code, stdout, stderr} = await run(`set -e\n${script}`);
  const warnings = news.map((id) => `Warning: New session '${id}'.\n`).join('');
  expect({code, stderr}).toEqual({code: 0, stderr: warnings});
  return stdout;
}

const keys = (): Promise<string[]> => gatewayKeys(redis);

/** A gateway that has frozen a session, with 87 requests in the last minute. */
async function freezeAsGateway(id: string, reason: string): Promise<void> {
  const until = new Date(Date.now() + 300_000).toISOString().slice(0, -1);
  await redis.client.set(`anomaly:${id}:frozen_until`, until, {EX: 300});
  await redis.client.set(`anomaly:${id}:freeze_reason`, reason, {EX: 300});
  await redis.client.set(`anomaly:${id}:requests:1min`, '87', {EX: 60});
}

describe('usage', () => {
  test('--help shows the flags of the document and every command', async () => {
    const {code, stdout} = await run('tokengate --help; tokengate help flags');
    expect(code).toBe(0);
    for (const name of ['set-budget', 'get-budget', 'list-sessions', 'reset-session', 'freeze-session']) {
      expect(stdout).toMatch(new RegExp(` ${name}( |$)`, 'm'));
    }
    for (const name of ['unfreeze-session', 'anomaly-stats', 'health']) {
      expect(stdout).toMatch(new RegExp(` ${name}( |$)`, 'm'));
    }
    expect(stdout).toMatch(/--redis-url URL [^]*default:\s+redis:\/\/localhost:6379/);
  });
});

describe('commands', () => {
  test('set-budget sets a budget', async () => {
    expect(await answerOf('tokengate set-budget my-workflow 25.50', ['my-workflow'])).toBe(
      "✓ Budget set for 'my-workflow': $25.50\n",
    );
    expect(await redis.client.get('session:my-workflow:budget')).toBe('25.50');
  });

  test('set-budget takes the Redis URL before its name', async () => {
    const {code} = await run('tokengate --redis-url redis://prod-redis:6379 set-budget prod-session 100.00', {
      url: NOWHERE,
    });
    expect(code).toBe(0);
    expect(await redis.client.get('session:prod-session:budget')).toBe('100.00');
  });

  test('get-budget prints the documented lines', async () => {
    await loadSessions(redis, {'my-workflow': ['25.5', '12.3456']});
    expect(await answerOf('tokengate get-budget my-workflow')).toBe(
      [
        'Session: my-workflow',
        'Budget:    $25.5000',
        'Spent:     $12.3456',
        'Remaining: $13.1544',
        'Used:      48.4%',
        '',
      ].join('\n'),
    );
  });

  test('list-sessions draws the documented table', async () => {
    await loadSessions(redis, {'session-2': ['25.0', '15.6789'], 'session-1': ['10.0', '2.3456']});
    expect(await answerOf('tokengate list-sessions')).toBe(
      [
        '╔════════════╦══════════╦══════════╦═══════════╦════════╗',
        '║ Session ID ║ Budget   ║ Spent    ║ Remaining ║ Used % ║',
        '╠════════════╬══════════╬══════════╬═══════════╬════════╣',
        '║ session-1  ║ $10.0000 ║ $2.3456  ║ $7.6544   ║ 23.5%  ║',
        '║ session-2  ║ $25.0000 ║ $15.6789 ║ $9.3211   ║ 62.7%  ║',
        '╚════════════╩══════════╩══════════╩═══════════╩════════╝',
        '',
      ].join('\n'),
    );
    expect(await answerOf('tokengate list-sessions --format table')).toBe(await answerOf('tokengate list-sessions'));
  });

  test('list-sessions --format json prints an array of numbers', async () => {
    await loadSessions(redis, {'session-1': ['10.0', '2.3456']});
    const documented = {session_id: 'session-1', budget: 10, spent: 2.3456, remaining: 7.6544, percentage_used: 23.456};
    const freeze = {is_frozen: false, frozen_until: null, freeze_reason: null};
    expect(JSON.parse(await answerOf('tokengate list-sessions --format json'))).toEqual([{...documented, ...freeze}]);
  });

  test('reset-session asks, and resets on y', async () => {
    await loadSessions(redis, {'my-workflow': ['25.5', '12.3456']});
    const terminal = openTerminal(['reset-session', 'my-workflow'], redis);
    await terminal.shows('Reset it? (y/N)');
    expect(await keys()).toEqual(['session:my-workflow:budget', 'session:my-workflow:spent']);
    terminal.type('y\r');
    expect(await terminal.ended).toMatchObject({code: 0});
    expect(await keys()).toEqual([]);
  });

  test('reset-session takes no answer as no', async () => {
    await loadSessions(redis, {'my-workflow': ['25.5', '12.3456']});
    const terminal = openTerminal(['reset-session', 'my-workflow'], redis);
    await terminal.shows('(y/N)');
    terminal.type('\r');
    expect(await terminal.ended).toMatchObject({code: 1});
    expect(await keys()).toEqual(['session:my-workflow:budget', 'session:my-workflow:spent']);
  });

  test('freeze-session freezes for one hour, with the default reason or a given one', async () => {
    const {code, stdout} = await run('tokengate freeze-session suspicious-session');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^✓ Session 'suspicious-session' frozen until .* UTC\nReason: Manual freeze\n$/);
    expect((await run('tokengate freeze-session bot-session --reason "Bot detected"')).code).toBe(0);
    expect(await redis.client.get('anomaly:bot-session:freeze_reason')).toBe('Bot detected');

    const end = await redis.client.get('anomaly:bot-session:frozen_until');
    expect(end).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}$/);
    const minutesLeft = (Date.parse(`${end}Z`) - Date.now()) / 60_000;
    expect(minutesLeft).toBeGreaterThan(58);
    expect(minutesLeft).toBeLessThanOrEqual(60);
  });

  test('unfreeze-session lifts a freeze', async () => {
    await freezeAsGateway('suspicious-session', 'Rate limit');
    expect(await answerOf('tokengate unfreeze-session suspicious-session')).toMatch(
      /^✓ Session 'suspicious-session' unfrozen\n/,
    );
    expect(await keys()).toEqual([]);
  });

  test('anomaly-stats prints the documented lines, in their order', async () => {
    await freezeAsGateway('my-session', 'Loop detected: 5 identical consecutive requests');
    const lines = (await answerOf('tokengate anomaly-stats my-session')).split('\n');
    const documented = [
      'Anomaly Stats for: my-session',
      'Frozen: Yes',
      'Reason: Loop detected: 5 identical consecutive requests',
      'Requests (last minute): 87',
    ];
    expect(lines.filter((line) => documented.includes(line))).toEqual(documented);
  });

  test('anomaly-stats gives a reason only for a frozen session', async () => {
    await loadSessions(redis, {'my-session': ['10.0']});
    const stdout = await answerOf('tokengate anomaly-stats my-session');
    expect(stdout).toContain('Frozen: No\n');
    expect(stdout).not.toContain('Reason:');
  });

  test('health says that the connection is healthy', async () => {
    expect((await answerOf('tokengate health')).split('\n')[0]).toBe('✓ Redis connection healthy');
  });
});

describe('common workflows', () => {
  test('initial setup', async () => {
    await answerOf(
      `
# Set budgets for multiple sessions
tokengate set-budget dev-team 50.00
tokengate set-budget staging 100.00
tokengate set-budget production 500.00`,
      ['dev-team', 'staging', 'production'],
    );
    expect(
      await redis.client.mGet(['session:dev-team:budget', 'session:staging:budget', 'session:production:budget']),
    ).toEqual(['50.00', '100.00', '500.00']);
  });

  test('monitoring', async () => {
    await loadSessions(redis, {production: ['500.0', '125.0'], staging: ['100.0']});
    const stdout = await answerOf(`
# Check all sessions
tokengate list-sessions

# Check specific session
tokengate get-budget production

# Check for anomalies
tokengate anomaly-stats production`);
    expect(stdout).toContain('║ production ║ $500.0000 ║ $125.0000 ║ $375.0000 ║ 25.0%  ║\n');
    expect(stdout).toContain('Remaining: $375.0000\n');
    expect(stdout).toContain('Anomaly Stats for: production\nFrozen: No\n');
  });

  test('incident response', async () => {
    await loadSessions(redis, {'bot-attack': ['10.0', '9.0']});
    const stdout = await answerOf(`
# Freeze suspicious session
tokengate freeze-session bot-attack --reason "Unusual traffic pattern"

# Check anomaly stats
tokengate anomaly-stats bot-attack

# Later, unfreeze if false positive
tokengate unfreeze-session bot-attack`);
    expect(stdout).toContain('Frozen: Yes\nReason: Unusual traffic pattern\n');
    expect(stdout).toContain("✓ Session 'bot-attack' unfrozen\n");
    expect(await keys()).toEqual(['session:bot-attack:budget', 'session:bot-attack:spent']);
  });

  test('the batch loop resets every session', async () => {
    await loadSessions(redis, {'dev-team': ['50.0', '1e-05'], staging: ['100.0'], 'team:alpha:nightly': ['10', '9']});
    await redis.client.set('unrelated', 'stays');
    const stdout = await answerOf(`
# Reset all sessions (bash script)
for session in $(tokengate list-sessions --format json | jq -r '.[].session_id'); do
    tokengate reset-session $session --yes
done`);
    expect(stdout.match(/^✓ Session '.*' reset$/gm)).toEqual([
      "✓ Session 'dev-team' reset",
      "✓ Session 'staging' reset",
      "✓ Session 'team:alpha:nightly' reset",
    ]);
    expect(await keys()).toEqual(['unrelated']);
  });

  test('the batch loop does nothing when there is no session', async () => {
    expect(
      await answerOf(`
for session in $(tokengate list-sessions --format json | jq -r '.[].session_id'); do
    tokengate reset-session $session --yes
done`),
    ).toBe('');
  });
});

describe('integration with scripts', () => {
  test('the Python script alerts for each session above 90 percent', async () => {
    await loadSessions(redis, {low: ['10.0', '9'], high: ['10.0', '9.5'], 'team:δ': ['10.0', '12.34']});
    await writeFile(
      `${shell.folder}/alert.py`,
      `import subprocess
import json

# Get all sessions as JSON
result = subprocess.run(
    ['tokengate', 'list-sessions', '--format', 'json'],
    capture_output=True,
    text=True
)
sessions = json.loads(result.stdout)

# Alert if any session used > 90%
for session in sessions:
    if session['percentage_used'] > 90:
        print(f"Alert: {session['session_id']} at {session['percentage_used']:.1f}%")
`,
    );
    expect(await answerOf('PYTHONIOENCODING=utf-8 python3 alert.py')).toBe(
      'Alert: high at 95.0%\nAlert: team:δ at 123.4%\n',
    );
  });

  test('monitor-budgets.sh warns of each session above its threshold', async () => {
    await loadSessions(redis, {low: ['10.0', '8'], high: ['10.0', '8.125'], zero: ['0', '0']});
    const script = `${shell.folder}/monitor-budgets.sh`;
    await writeFile(
      script,
      String.raw`#!/bin/bash
# monitor-budgets.sh

THRESHOLD=80

tokengate list-sessions --format json | \
    jq -r --arg threshold "$THRESHOLD" \
    '.[] | select(.percentage_used > ($threshold | tonumber)) | 
    "WARNING: \(.session_id) used \(.percentage_used)% of budget"'
`,
    );
    await chmod(script, 0o755);
    expect(await answerOf('./monitor-budgets.sh')).toBe('WARNING: high used 81.25% of budget\n');
  });
});

describe('automation', () => {
  test('the daily report of cron goes to its file, as a table', async () => {
    await loadSessions(redis, {'dev-team': ['50.0', '47.1']});
    await mkdir(`${shell.folder}/log`);
    expect(await answerOf('tokengate list-sessions > log/daily-report.txt')).toBe('');
    expect(await readFile(`${shell.folder}/log/daily-report.txt`, 'utf8')).toContain(
      '║ dev-team   ║ $50.0000 ║ $47.1000 ║ $2.9000   ║ 94.2%  ║\n',
    );
  });

  /** The document names a script of the operator's own, without its text; this is one that its outputs allow. */
  test('a check for frozen sessions can rest on the documented lines', async () => {
    await loadSessions(redis, {'dev-team': ['50.0'], staging: ['100.0']});
    await freezeAsGateway('staging', 'Rate limit');
    expect(
      await answerOf(`
for session in $(tokengate list-sessions --format json | jq -r '.[].session_id'); do
    if tokengate anomaly-stats "$session" | grep -q '^Frozen: Yes$'; then echo "$session"; fi
done`),
    ).toBe('staging\n');
  });

  test('the nightly reset of cron needs no terminal', async () => {
    await loadSessions(redis, {'test-session': ['10.0', '3.5']});
    expect(await answerOf('tokengate reset-session test-session --yes')).toBe(
      "✓ Session 'test-session' reset\nRemoved: budget $10.00, spent $3.50\n",
    );
    expect(await keys()).toEqual([]);
  });
});

describe('troubleshooting', () => {
  test('health tests the connection, also to another server', async () => {
    expect(await answerOf('tokengate health')).toMatch(/^✓ Redis connection healthy\n/);
    const other = 'tokengate --redis-url redis://other-host:6379 health';
    expect(await run(other, {url: NOWHERE})).toMatchObject({code: 0, stderr: ''});
  });

  test('session IDs are case-sensitive', async () => {
    await loadSessions(redis, {'my-session': ['10.0']});
    expect(await answerOf('tokengate list-sessions')).toContain('║ my-session ║');
    const {code, stdout, stderr} = await run('tokengate get-budget MySession  # Different from my-session');
    expect({code, stdout}).toEqual({code: 1, stdout: ''});
    expect(stderr).toMatch(/^Error: Session 'MySession' not found\./);
  });
});

describe('exit codes and environment', () => {
  test.each([
    ['a success exits with 0', 'tokengate set-budget a 1', 0],
    ['an unknown session exits with 1', 'tokengate get-budget nobody', 1],
    ['a bad amount exits with 1', 'tokengate set-budget a nan', 1],
    ['an unknown command exits with 1', 'tokengate no-such-command', 1],
    ['an unreachable Redis exits with 1', `tokengate --redis-url ${NOWHERE} health`, 1],
  ])('%s', async (_, script, expected) => {
    const {code, stdout, stderr} = await run(script);
    expect(code).toBe(expected);
    expect(stdout === '').toBe(expected === 1);
    if (expected === 0) expect(stderr).toBe("Warning: New session 'a'.\n");
    else expect(stderr).toMatch(/^Error: /);
  });

  test('the URL can come from the variable, by the flag or alone', async () => {
    await loadSessions(redis, {'dev-team': ['50.0']});
    const byFlag = `
export TOKENGATE_REDIS_URL=redis://prod-redis:6379
tokengate --redis-url $TOKENGATE_REDIS_URL list-sessions`;
    const alone = `
export TOKENGATE_REDIS_URL=redis://prod-redis:6379
tokengate list-sessions`;
    expect(await answerOf(byFlag)).toContain('║ dev-team   ║');
    expect(await answerOf(alone)).toBe(await answerOf(byFlag));
  });
});
