import {BaseCommand} from '../cli/base-command.js';
import {sessionIdArg} from '../cli/flags.js';
import {serverTime} from '../lib/clock.js';
import {type Unfreeze, unfreezeSession} from '../lib/freezes.js';
import {formatUtc} from '../lib/time.js';

interface UnfreezeJson {
  session_id: string;
  was_frozen: boolean;
  freeze_reason: string | null;
  frozen_until: Date | null;
  counters_cleared: boolean;
}

export default class UnfreezeSession extends BaseCommand<typeof UnfreezeSession> {
  static override summary = 'End the freeze of a session';
  static override description = `Also clears the counters of identical requests and of requests in the last minute, which would freeze the session again at its next request.

A session that is not frozen is no error.`;
  static override examples = [
    {description: 'Let a session go on', command: '<%= config.bin %> <%= command.id %> suspicious-session'},
    {description: 'See what was lifted', command: '<%= config.bin %> <%= command.id %> suspicious-session --json'},
  ];

  static override args = {session_id: sessionIdArg};

  async run(): Promise<UnfreezeJson> {
    const redis = await this.connectToChange();
    const unfreeze = await unfreezeSession(redis, this.args.session_id, {now: await serverTime(redis)});
    this.render(unfreeze);
    const {id, previous, countersCleared} = unfreeze;
    return {
      session_id: id,
      was_frozen: previous.isFrozen !== false,
      freeze_reason: previous.reason,
      frozen_until: previous.until,
      counters_cleared: countersCleared,
    };
  }

  private render({id, previous, countersCleared}: Unfreeze): void {
    this.warnAll(previous.problems);
    if (previous.isFrozen === false) {
      this.print(`Session '${id}' is not frozen${countersCleared ? '; its counters are cleared' : ''}`);
      return;
    }
    this.print(`✓ Session '${id}' unfrozen`);
    if (previous.until !== null) {
      this.print(`It was frozen until ${formatUtc(previous.until)} (${previous.reason ?? 'no reason'})`);
    }
  }
}
