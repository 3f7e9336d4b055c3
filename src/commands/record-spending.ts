import {Flags} from '@oclif/core';

import {BaseCommand} from '../cli/oclif/base-command.js';
import {answerFormatFlag, matchFlag} from '../cli/oclif/flags.js';
import {formatCount} from '../cli/text/words.js';
import type {Recording} from '../lib/spending/page.js';
import {recordSpending} from '../lib/spending/record.js';
import {TokengateError} from '../lib/values/errors.js';
import {formatExactMoney, type Money} from '../lib/values/money.js';
import {formatUtc, parseDuration} from '../lib/values/time.js';

interface RecordingJson {
  recorded_at: Date;
  /** Null for the first recording. */
  since: Date | null;
  timezone: string;
  match: string | null;
  sessions: number;
  active: number;
  spent: Money;
  unaccounted: {session_id: string; amount: Money; left: Money}[];
  journal_trimmed: boolean;
  dropped_days: string[];
}

const SECONDS_A_DAY = 86_400;

export default class RecordSpending extends BaseCommand<typeof RecordSpending> {
  static override summary = 'Record what sessions have spent since the last recording, from cron';
  static override description = `Adds what each session has spent since the last recording to the ledger of today; report-spending reads it. The first recording only notes where each session stands.

Run it every few minutes, on as many hosts as you like: nothing is counted twice. Resets, renewals and undone changes are accounted for exactly, with the journal. If spending falls without an entry in the journal, it is recorded as unaccounted, with a warning.

It asks nothing, changes no key of the gateway, and writes no entry in the journal. The first recording fixes the time zone and the glob.`;
  static group = 'History';
  static override examples = [
    {description: 'From cron, every five minutes', command: '<%= config.bin %> <%= command.id %> --quiet'},
    {
      description: 'Begin a ledger with the days of Berlin',
      command: '<%= config.bin %> <%= command.id %> --timezone Europe/Berlin',
    },
  ];
  static related = ['report-spending', 'list-sessions', 'renew-budgets'];

  static override flags = {
    match: matchFlag,
    keep: Flags.string({description: 'How long to keep days', default: '400d', helpValue: 'TIME'}),
    timezone: Flags.string({
      description: 'Time zone of the days, such as Europe/Berlin (default: UTC)',
      helpValue: 'ZONE',
    }),
    quiet: Flags.boolean({char: 'q', description: 'Print nothing but warnings'}),
    format: answerFormatFlag(),
  };

  async run(): Promise<RecordingJson> {
    const {match, keep, timezone} = this.flags;
    const keepSeconds = parseDuration(keep);
    if (keepSeconds < SECONDS_A_DAY) {
      throw new TokengateError('INVALID_USAGE', `--keep ${keep} is too short.`, {hint: 'Keep one day or more: 1d.'});
    }
    const zone = timezone === undefined ? undefined : await findZone(timezone);
    const redis = await this.connectToChange('decided before');
    const recording = await recordSpending(redis, {match, timezone: zone, keepSeconds});
    if (!this.flags.quiet) this.render(recording);
    this.warnAll(warningsOf(recording));
    if (recording.sessions === 0) await this.adviseGlob();
    return toJson(recording);
  }

  private render({since, sessions, active, spent}: Recording): void {
    const count = `${formatCount(sessions)} ${sessions === 1 ? 'session' : 'sessions'}`;
    this.print(
      since === null
        ? `✓ First recording: noted what ${count} had spent before`
        : `✓ Recorded ${count}: ${formatCount(active)} spent ${formatExactMoney(spent)} since ${formatUtc(since)}`,
    );
  }
}

/** Loaded only on demand. */
async function findZone(typed: string): Promise<string> {
  const {findTimezone} = await import('../cli/oclif/period-flags.js');
  return findTimezone(typed);
}

function warningsOf({isTrimmed, unaccounted, problems}: Recording): string[] {
  const falls = unaccounted.map(
    ({id, amount, left}) =>
      `Unaccounted: the spending of session '${id}' fell by ${formatExactMoney(amount)} to ${formatExactMoney(left)}, and the journal does not say why.`,
  );
  const trimmed =
    'The journal was trimmed since the last recording: spending before changes that it has dropped is missing.';
  return [...(isTrimmed ? [trimmed] : []), ...falls, ...problems];
}

function toJson(recording: Recording): RecordingJson {
  const {at, since, timezone, match = null, sessions, active, spent, unaccounted, isTrimmed, droppedDays} = recording;
  return {
    recorded_at: at,
    ...{since, timezone, match, sessions, active},
    spent,
    unaccounted: unaccounted.map(({id, amount, left}) => ({session_id: id, amount, left})),
    journal_trimmed: isTrimmed,
    dropped_days: droppedDays,
  };
}
