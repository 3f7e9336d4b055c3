import {Flags} from '@oclif/core';

import {BatchCommand} from '../cli/oclif/batch-command.js';
import {batchFlags, sessionIdsArg} from '../cli/oclif/flags.js';
import {describeFreeze} from '../lib/gateway/freeze.js';
import {FROZEN_UNTIL_KEYS} from '../lib/gateway/keys.js';
import {
  describeCleared,
  describeUnfreeze,
  type Unfreeze,
  unfreezeSession,
  unfreezeChange,
} from '../lib/operations/freeze.js';
import {serverTime} from '../lib/redis/server-time.js';
import type {RawId} from '../lib/values/session-id.js';

interface UnfreezeJson {
  session_id: string;
  was_frozen: boolean;
  freeze_reason: string | null;
  frozen_until: Date | null;
  counters_cleared: boolean;
}

export default class UnfreezeSession extends BatchCommand<typeof UnfreezeSession> {
  static override summary = 'End the freeze of sessions';
  static override description = `Also clears the counters of identical requests and of requests in the last minute, which would freeze the session again at its next request.

A session that is not frozen is no error; its counters are cleared, too.

IDs that are named, from stdin or all (that are frozen) are taken together; of these only those are meant that --match and --where let through. --match or --where alone stands for all. A batch asks first.`;
  static override examples = [
    {description: 'Let a session go on', command: '<%= config.bin %> <%= command.id %> suspicious-session'},
    {
      description: "Lift an operator's freeze of all, and leave the gateway's own",
      command: '<%= config.bin %> <%= command.id %> --all --with-reason "incident 42" --yes',
    },
  ];
  static related = ['freeze-session', 'anomaly-stats', 'list-sessions'];

  static override args = {session_id: sessionIdsArg};
  static override flags = {
    ...batchFlags,
    all: {...batchFlags.all, description: 'Every session that has a freeze'},
    'with-reason': Flags.string({description: 'Only those frozen for exactly this reason', helpValue: 'TEXT'}),
  };

  async run(): Promise<UnfreezeJson | undefined> {
    if (this.single !== undefined) return this.unfreezeOne(this.single);
    const withReason = this.flags['with-reason'];
    await this.changeMany<Unfreeze>({
      verb: 'unfreeze',
      done: 'unfrozen',
      universe: FROZEN_UNTIL_KEYS,
      change: (now) => unfreezeChange({now, withReason}),
      describe: describeUnfreeze,
      problems: ({previous}) => previous.problems,
      toJson: toUnfreezeJson,
    });
    return undefined;
  }

  private async unfreezeOne(id: RawId): Promise<UnfreezeJson> {
    const redis = await this.connectToChange();
    const now = await serverTime(redis);
    const unfreeze = await unfreezeSession(redis, id, {now, withReason: this.flags['with-reason']}, this.journal());
    this.render(unfreeze);
    return {session_id: unfreeze.id, ...toUnfreezeJson(unfreeze)};
  }

  private render(unfreeze: Unfreeze): void {
    const {id, previous, isKept} = unfreeze;
    this.warnAll(previous.problems);
    if (isKept) {
      this.print(`Session '${id}' is frozen for another reason and stays so: ${describeFreeze(previous)}`);
    } else if (previous.isFrozen === false) {
      const cleared = describeCleared(unfreeze);
      this.print(`Session '${id}' is not frozen${cleared === '' ? '' : `; ${cleared}`}`);
    } else {
      this.print(`✓ Session '${id}' unfrozen`, `It was ${describeFreeze(previous)}`);
    }
  }
}

function toUnfreezeJson({previous, isKept, countersCleared}: Unfreeze): Omit<UnfreezeJson, 'session_id'> {
  return {
    was_frozen: previous.isFrozen !== false && !isKept,
    freeze_reason: previous.reason,
    frozen_until: previous.until,
    counters_cleared: countersCleared,
  };
}
