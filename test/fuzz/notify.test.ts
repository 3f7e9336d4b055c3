import fc from 'fast-check';
import {afterAll, beforeAll, expect} from 'vitest';

import {notify} from '../../src/cli/alerts/notify.js';
import type {LimitFinding, RuleKind} from '../../src/lib/monitoring/limits.js';
import {parseSessionId} from '../../src/lib/values/session-id.js';
import {anyText, fuzz, someText, UNSAFE} from '../support/fuzz.js';
import {type Receiver, startReceiver} from '../support/impostors/receiver.js';

let receiver: Receiver;
beforeAll(async () => (receiver = await startReceiver()));
afterAll(() => receiver.stop());

const finding: fc.Arbitrary<LimitFinding> = fc
  .tuple(someText, anyText, fc.constantFrom<RuleKind>('used', 'left', 'frozen', 'unreadable_freeze'))
  .map(([id, reason, kind]) => {
    const freeze = {isFrozen: true, until: new Date(0), reason, problems: [reason]};
    const rule = {kind, threshold: null, severity: 'critical' as const};
    return {subject: {id, key: parseSessionId(id), session: null, freeze}, rule, rules: [rule]};
  });

fuzz(
  'a message to a channel has a line a crossing, and nothing in it is markup, a link or a call of somebody',
  fc.asyncProperty(fc.array(finding, {minLength: 1, maxLength: 25}), anyText, async (findings, address) => {
    const {url, posts} = receiver;
    const webhook = {url: new URL(url), headers: {}};
    const notified = await notify(findings, {webhook, exec: undefined}, {address, server: {}});
    expect(notified.failed.size).toBe(0);
    const {text} = posts.at(-1)!;
    // A space of no width keeps an @ from being a call.
    expect(text.replaceAll('@\u200b', '')).not.toMatch(UNSAFE);
    expect(text).not.toMatch(/(?<![\w.-])@(?!\u200b)/);
    expect(text).not.toMatch(/[<>]|&(?!(amp|lt|gt);)/);
    const lines = text.split('\n');
    expect(lines).toHaveLength(1 + Math.min(20, findings.length) + (findings.length > 20 ? 1 : 0));
    for (const [index, line] of lines.slice(1, 21).entries()) {
      const isOurs = ['used', 'left'].includes(findings[index]!.rule.kind);
      expect(line).toMatch(isOurs ? /^• \*CRITICAL\* `[^`]+` [^`]*$/ : /^• \*CRITICAL\* `[^`]+` `[^`]*`$/);
    }
  }),
  10,
);
