import {Flags} from '@oclif/core';

import {BaseCommand} from '../cli/base-command.js';
import {sessionIdArg} from '../cli/flags.js';
import {serverTime} from '../lib/clock.js';
import {type Freeze, freezeSession} from '../lib/freezes.js';
import {formatUtc} from '../lib/time.js';

const ONE_HOUR = 3600;

interface FreezeJson {
  session_id: string;
  is_frozen: true;
  freeze_reason: string;
  frozen_until: Date;
  previously_frozen_until: Date | null;
  previous_freeze_reason: string | null;
}

export default class FreezeSession extends BaseCommand<typeof FreezeSession> {
  static override summary = 'Freeze a session for one hour';
  static override description = `The gateway refuses every request of a frozen session (HTTP 429, with the reason) until the freeze ends or is lifted.

A session need not be known yet. A freeze that it has already is replaced.`;
  static override examples = [
    {description: 'Freeze with the default reason', command: '<%= config.bin %> <%= command.id %> suspicious-session'},
    {description: 'Say why', command: '<%= config.bin %> <%= command.id %> bot-session --reason "Bot detected"'},
  ];

  static override args = {session_id: sessionIdArg};
  static override flags = {
    reason: Flags.string({
      default: 'Manual freeze',
      description: 'Why; the API client is told so too',
      helpValue: 'TEXT',
    }),
  };

  async run(): Promise<FreezeJson> {
    const redis = await this.connectToChange();
    const freeze = await freezeSession(redis, this.args.session_id, {
      reason: this.flags.reason,
      length: ONE_HOUR,
      now: await serverTime(redis),
    });
    this.render(freeze);
    return {
      session_id: freeze.id,
      is_frozen: true,
      freeze_reason: freeze.reason,
      frozen_until: freeze.until,
      previously_frozen_until: freeze.previous.isFrozen ? freeze.previous.until : null,
      previous_freeze_reason: freeze.previous.isFrozen ? freeze.previous.reason : null,
    };
  }

  private render({id, until, reason, previous, isKnown}: Freeze): void {
    this.print(`✓ Session '${id}' frozen until ${formatUtc(until)}`, `Reason: ${reason}`);
    if (previous.isFrozen && previous.until !== null) {
      this.print(`It was frozen until ${formatUtc(previous.until)} (${previous.reason ?? 'no reason'})`);
    }
    this.warnAll(previous.problems);
    if (!isKnown) this.warnAll([`Session '${id}' has no budget and no spending yet. Is the ID right?`]);
  }
}
