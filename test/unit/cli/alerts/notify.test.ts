import {mkdtemp, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, expect, test} from 'vitest';

import {notificationError, type Notified, notify, type Notifiers} from '../../../../src/cli/alerts/notify.js';
import {toSession} from '../../../../src/lib/gateway/session.js';
import type {LimitFinding} from '../../../../src/lib/monitoring/limits.js';
import {Decimal} from '../../../../src/lib/values/decimal.js';
import {parseSessionId} from '../../../../src/lib/values/session-id.js';
import {type Receiver, startReceiver} from '../../../support/impostors/receiver.js';
import {untilEnded} from '../../../support/program/processes.js';

let receiver: Receiver;
let folder: string;
beforeEach(async () => {
  receiver = await startReceiver();
  folder = await mkdtemp(join(tmpdir(), 'tokengate-notify-'));
});
afterEach(async () => {
  await receiver.stop();
  await rm(folder, {recursive: true});
});

function crossing(id: string): LimitFinding {
  const key = parseSessionId(id);
  const ten = {state: 'money', text: '10', amount: Decimal.of(10)} as const;
  const rule = {kind: 'used', threshold: Decimal.of(80), severity: 'warning'} as const;
  return {subject: {id, key, session: toSession(key, {budget: ten, spent: ten}), freeze: null}, rule, rules: [rule]};
}
const FINDINGS = ['a', 'b', 'c'].map(crossing);
const tell = (notifiers: Partial<Notifiers>, limits = {}): Promise<Notified> =>
  notify(
    FINDINGS,
    {webhook: undefined, exec: undefined, ...notifiers},
    {
      address: 'localhost:6379',
      server: {},
      limits: {webhookMs: 60_000, execMs: 60_000, allExecMs: 60_000, ...limits},
    },
  );
const webhook = (): Notifiers['webhook'] => ({url: new URL(receiver.url), headers: {}});

test('a webhook that never answers is given up', async () => {
  receiver.answer = undefined;
  const told = await tell({webhook: webhook()}, {webhookMs: 100});
  expect(told.failed).toEqual(new Set(FINDINGS));
  expect(notificationError(told)).toMatchObject({
    code: 'NOTIFICATION_FAILED',
    message: 'The webhook did not answer within 0.1 s.',
    hint: '3 crossings will be reported again by the next check, in every way.',
  });
});

test('a webhook that begins to answer and never ends has taken it', async () => {
  receiver.answer = (response) => response.writeHead(200).write('o');
  expect(await tell({webhook: webhook()})).toMatchObject({failed: new Set()});
});

test('a command that does not end is ended, with all that it started', async () => {
  const exec = `sleep 1000 & echo $! >> '${folder}/log'; test "$TOKENGATE_ALERT_SESSION_ID" != b || wait`;
  const told = await tell({exec}, {execMs: 3000});
  expect([...told.failed].map(({subject}) => subject.id)).toEqual(['b']);
  expect(notificationError(told).message).toBe(
    "The command of --exec failed for 1 of 3 crossings, first for session 'b': still running after 3 s.",
  );
  const pids = (await readFile(join(folder, 'log'), 'utf8')).trim().split('\n').map(Number);
  expect(pids).toHaveLength(3);
  // Those of the commands that have ended by themselves go on, as they would in a shell.
  for (const pid of [pids[0], pids[2]]) process.kill(pid ?? 0, 'SIGKILL');
  await untilEnded(pids[1] ?? 0);
});

test('no command is begun when the time for all is over', async () => {
  const exec = `echo "$TOKENGATE_ALERT_SESSION_ID" >> '${folder}/log'`;
  const told = await tell({exec}, {allExecMs: -1});
  expect(told.ways).toEqual([
    {
      via: 'exec',
      delivered: 0,
      failed: 3,
      error: "for session 'a': it was not started: commands may take -0.001 s in all",
    },
  ]);
  await expect(readFile(join(folder, 'log'))).rejects.toThrow();
});

test('nothing new is told to nobody', async () => {
  const options = {address: '', server: {}};
  const told = await notify([], {webhook: webhook(), exec: `touch '${folder}/log'`}, options);
  expect(told).toEqual({ways: [], failed: new Set(), interrupted: false});
  expect(receiver.posts).toEqual([]);
  await expect(readFile(join(folder, 'log'))).rejects.toThrow();
});
