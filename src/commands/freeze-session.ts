import {Flags} from '@oclif/core';

import {BatchCommand} from '../cli/oclif/batch-command.js';
import {batchFlags, sessionIdsArg} from '../cli/oclif/flags.js';
import {parseTypedTime} from '../cli/text/time-zone.js';
import type {SecondLookJson} from '../cli/views/second-look.js';
import {describeEnd, describeFreeze, FOREVER} from '../lib/gateway/freeze.js';
import {BUDGET_KEYS} from '../lib/gateway/keys.js';
import {
  type Freeze,
  freezeChange,
  freezeLook,
  type FreezeOptions,
  freezeSession,
  problemsBefore,
} from '../lib/operations/freeze.js';
import {serverTime} from '../lib/redis/server-time.js';
import type {RawId} from '../lib/values/session-id.js';
import {parseDuration} from '../lib/values/time.js';

const ONE_HOUR = 3600;

interface FreezeJson {
  session_id: string;
  is_frozen: true;
  freeze_reason: string | null;
  frozen_until: Date;
  previously_frozen_until: Date | null;
  previous_freeze_reason: string | null;
  /** Null when a freeze was kept. */
  second_look: SecondLookJson | null;
  /** Null when nothing was changed, or without a journal. */
  change_id: string | null;
}

export default class FreezeSession extends BatchCommand<typeof FreezeSession> {
  static override summary = 'Freeze sessions, for one hour by default';
  static override description = `While a session is frozen, the gateway refuses its requests with HTTP 429 and the reason.

A request that is under way can remove the freeze, or replace it with a shorter one. The command therefore looks again; if that has happened, it warns and exits with 1.

A freeze that already ends later is kept; --force replaces it. A single named session may be new; a batch refuses IDs that Redis does not know, unless you add --allow-unknown.

Named IDs, IDs on stdin and --all are merged and deduplicated, then filtered by --match and --where. With --match or --where alone, all sessions are filtered. A batch asks first.`;
  static group = 'Freezes';
  static override examples = [
    {description: 'Freeze a session for an hour', command: '<%= config.bin %> <%= command.id %> suspicious-session'},
    {description: 'Give a reason', command: '<%= config.bin %> <%= command.id %> bot-session --reason "Bot detected"'},
    {
      description: 'Stop everything until further notice',
      command: '<%= config.bin %> <%= command.id %> --all --forever --reason "incident 42" --yes',
    },
  ];
  static related = ['unfreeze-session', 'anomaly-stats', 'list-sessions'];

  static override args = {session_id: sessionIdsArg};
  static override flags = {
    reason: Flags.string({
      default: 'Manual freeze',
      description: 'Reason, which the API client sees too',
      helpValue: 'TEXT',
    }),
    for: Flags.string({
      description: 'Length of the freeze, such as 30m, 2h or 1d12h',
      exclusive: ['until', 'forever'],
      helpValue: 'TIME',
    }),
    until: Flags.string({
      description: 'End of the freeze in ISO 8601; local time unless it ends in Z or an offset',
      exclusive: ['for', 'forever'],
      helpValue: 'TIME',
    }),
    forever: Flags.boolean({description: 'Freeze until someone unfreezes it', exclusive: ['for', 'until']}),
    force: Flags.boolean({description: 'Replace a freeze that ends later'}),
    'allow-unknown': Flags.boolean({description: 'In a batch, also freeze IDs that Redis does not know'}),
    ...batchFlags,
  };

  async run(): Promise<FreezeJson | undefined> {
    const optionsAt = this.readOptions();
    if (this.single !== undefined) return this.freezeOne(this.single, optionsAt);
    await this.changeMany<Freeze>({
      verb: 'freeze',
      done: 'frozen',
      universe: BUDGET_KEYS,
      onUnknown: this.flags['allow-unknown'] ? 'mark' : 'refuse',
      change: (now) => freezeChange(optionsAt(now)),
      reason: this.flags.reason,
      describe: ({until, reason}) => `${describeEnd(until)} (${reason ?? 'no reason'})`,
      problems: problemsBefore,
      toJson: toFreezeJson,
      secondLook: freezeLook,
    });
    return undefined;
  }

  private async freezeOne(id: RawId, optionsAt: (now: Date) => FreezeOptions): Promise<FreezeJson> {
    const redis = await this.connectToChange({verb: 'Freeze', ids: [id]});
    const journal = this.journal(this.flags.reason);
    const freeze = await freezeSession(redis, id, optionsAt(await serverTime(redis)), journal);
    this.render(freeze);
    if (!freeze.isKept) this.afterChange(journal);
    if (!freeze.isKnown) {
      await this.warnUnknown(redis, id, `New session '${freeze.id}': it has no budget and no spending yet.`);
    }
    const secondLook = await this.lookAgain(redis, freezeLook, {result: freeze});
    const change = freeze.isKept ? undefined : journal?.change;
    return {session_id: freeze.id, ...toFreezeJson(freeze), second_look: secondLook, change_id: change ?? null};
  }

  /** Reads the flags before connecting; a duration counts from now. */
  private readOptions(): (now: Date) => FreezeOptions {
    const {reason, for: length, until, forever, force} = this.flags;
    const seconds = length === undefined ? ONE_HOUR : parseDuration(length);
    const end = forever ? FOREVER : until === undefined ? undefined : parseTypedTime(until);
    return (now) => ({reason, force, now, until: end ?? new Date(now.getTime() + seconds * 1000)});
  }

  private render(freeze: Freeze): void {
    const {id, until, reason, previous, isKept} = freeze;
    this.warnAll(problemsBefore(freeze));
    const end = describeEnd(until);
    this.print(isKept ? `Session '${id}' is frozen ${end} already` : `✓ Session '${id}' frozen ${end}`);
    if (reason !== null) this.print(`Reason: ${this.cut(reason)}`);
    if (isKept) this.warnAll(['That freeze ends no sooner, so it was kept. Use --force to replace it.']);
    else if (previous.isFrozen !== false) this.print(`It was ${describeFreeze(previous)}`);
  }
}

function toFreezeJson({until, reason, previous}: Freeze): Omit<FreezeJson, 'session_id' | 'second_look' | 'change_id'> {
  return {
    is_frozen: true,
    freeze_reason: reason,
    frozen_until: until,
    previously_frozen_until: previous.isFrozen ? previous.until : null,
    previous_freeze_reason: previous.isFrozen === false ? null : previous.reason,
  };
}
