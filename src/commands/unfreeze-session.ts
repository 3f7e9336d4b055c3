import {Flags} from '@oclif/core';

import {BatchCommand} from '../cli/oclif/batch-command.js';
import {batchFlags, sessionIdsArg} from '../cli/oclif/flags.js';
import type {SecondLookJson} from '../cli/views/second-look.js';
import {describeFreeze} from '../lib/gateway/freeze.js';
import {FROZEN_UNTIL_KEYS} from '../lib/gateway/keys.js';
import {
  describeCleared,
  describeUnfreeze,
  problemsBefore,
  type Unfreeze,
  unfreezeSession,
  unfreezeChange,
  unfreezeLook,
} from '../lib/operations/freeze.js';
import {serverTime} from '../lib/redis/server-time.js';
import {findUnknown} from '../lib/sessions/unknown-ids.js';
import type {RawId} from '../lib/values/session-id.js';

interface UnfreezeJson {
  session_id: string;
  was_frozen: boolean;
  freeze_reason: string | null;
  frozen_until: Date | null;
  counters_cleared: boolean;
  /** Null where no freeze was ended. */
  second_look: SecondLookJson | null;
  /** Null when nothing was changed, or without a journal. */
  change_id: string | null;
}

export default class UnfreezeSession extends BatchCommand<typeof UnfreezeSession> {
  static override summary = 'Unfreeze sessions';
  static override description = `Also clears the counters of identical requests and of requests in the last minute, which would freeze the session again at its next request. For a session that is not frozen, only the counters are cleared.

A request that is under way can freeze the session again right after. The command therefore looks again: if that has happened, it warns and exits with 1.

Named IDs, IDs on stdin and --all (every frozen session) are merged and deduplicated, then filtered by --match and --where. With --match or --where alone, all frozen sessions are filtered. A batch asks first.`;
  static group = 'Freezes';
  static override examples = [
    {description: 'Unfreeze a session', command: '<%= config.bin %> <%= command.id %> suspicious-session'},
    {
      description: "Lift your own freeze of everything, and keep the gateway's freezes",
      command: '<%= config.bin %> <%= command.id %> --all --with-reason "incident 42" --yes',
    },
  ];
  static related = ['freeze-session', 'anomaly-stats', 'list-sessions'];

  static override args = {session_id: sessionIdsArg};
  static override flags = {
    'with-reason': Flags.string({description: 'Only sessions frozen for exactly this reason', helpValue: 'TEXT'}),
    ...batchFlags,
    all: {...batchFlags.all, description: 'Every frozen session'},
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
      problems: problemsBefore,
      toJson: toUnfreezeJson,
      secondLook: unfreezeLook,
    });
    return undefined;
  }

  private async unfreezeOne(id: RawId): Promise<UnfreezeJson> {
    const redis = await this.connectToChange({verb: 'Unfreeze', ids: [id]});
    const now = await serverTime(redis);
    const journal = this.journal();
    const unfreeze = await unfreezeSession(redis, id, {now, withReason: this.flags['with-reason']}, journal);
    this.render(unfreeze);
    const {previous, isKept, countersCleared, leftoversCleared} = unfreeze;
    const isChanged = countersCleared || leftoversCleared || (previous.isFrozen !== false && !isKept);
    if (isChanged) this.afterChange(journal);
    else if ((await findUnknown(redis, [id])).length > 0) {
      await this.warnUnknown(redis, id, `Nothing is known of session '${unfreeze.id}'.`);
    }
    const secondLook = await this.lookAgain(redis, unfreezeLook, {result: unfreeze});
    const change = isChanged ? journal?.change : undefined;
    return {
      session_id: unfreeze.id,
      ...toUnfreezeJson(unfreeze),
      second_look: secondLook,
      change_id: change ?? null,
    };
  }

  private render(unfreeze: Unfreeze): void {
    const {id, previous, isKept} = unfreeze;
    this.warnAll(problemsBefore(unfreeze));
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

function toUnfreezeJson({
  previous,
  isKept,
  countersCleared,
}: Unfreeze): Omit<UnfreezeJson, 'session_id' | 'second_look' | 'change_id'> {
  return {
    was_frozen: previous.isFrozen !== false && !isKept,
    freeze_reason: previous.reason,
    frozen_until: previous.until,
    counters_cleared: countersCleared,
  };
}
