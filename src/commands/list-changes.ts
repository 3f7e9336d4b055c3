import {setTimeout as wait} from 'node:timers/promises';

import {Flags} from '@oclif/core';

import {BaseCommand} from '../cli/oclif/base-command.js';
import {countFlag, formatFlag, pagerFlag} from '../cli/oclif/flags.js';
import {parseTypedTime} from '../cli/text/time-zone.js';
import {CHANGE_FORMATS, renderChanges, toShippedLine} from '../cli/views/changes.js';
import {listChanges} from '../lib/journal/history.js';
import type {ShipOptions} from '../lib/journal/ship.js';
import {serverTime} from '../lib/redis/server-time.js';
import {TokengateError} from '../lib/values/errors.js';
import {parseSessionId} from '../lib/values/session-id.js';
import {parseSince, sinceTime} from '../lib/values/time.js';

export default class ListChanges extends BaseCommand<typeof ListChanges> {
  static override summary = 'List who changed what, and when';
  static override description = `Reads the journal in which every command records its changes, newest first. A change of many sessions is one line of the table, which shows the first session; --session, --change, JSON and NDJSON show each one.

The actor is TOKENGATE_ACTOR, or else user@host. The journal keeps the newest 100,000 entries (TOKENGATE_JOURNAL_LIMIT); a batch takes one entry for 100 sessions.

To ship changes to a log store, --after prints the changes after a cursor, oldest first, as NDJSON with a cursor on each line, and --follow waits for more. Each change of a session is printed once, without gaps: if the journal has dropped the entry of the cursor, the command fails.`;
  static group = 'History';
  static override examples = [
    {description: 'What happened today?', command: '<%= config.bin %> <%= command.id %> --since today'},
    {
      description: 'Who changed a session?',
      command: '<%= config.bin %> <%= command.id %> --session my-workflow --limit 5',
    },
  ];
  static related = ['undo-change'];

  static override flags = {
    session: Flags.string({description: 'Only changes of this session', helpValue: 'SESSION_ID'}),
    change: Flags.string({description: 'Only this change, session by session', helpValue: 'CHANGE_ID'}),
    since: Flags.string({
      description: 'Only changes since today, yesterday, 24h (ago) or a time in ISO 8601',
      helpValue: 'TIME',
    }),
    actor: Flags.string({description: 'Only changes by this actor', helpValue: 'NAME'}),
    limit: countFlag({description: 'Maximum number of changes, or of lines with --after; 0 for all (default: 20)'}),
    after: Flags.string({
      description: 'Only changes after this cursor, oldest first; 0 for all',
      exclusive: ['since'],
      helpValue: 'CURSOR',
    }),
    follow: Flags.boolean({description: 'Wait for new changes; without --after, print only those'}),
    format: formatFlag(CHANGE_FORMATS),
    ...pagerFlag,
  };

  async run(): Promise<void> {
    const {
      session,
      change,
      since,
      actor,
      limit = 20,
      json,
      format = json ? 'json' : 'table',
      after,
      follow,
    } = this.flags;
    const id = session === undefined ? undefined : parseSessionId(session);
    const start = since === undefined ? undefined : parseSince(since, parseTypedTime);
    if (after !== undefined || follow) {
      await this.ship({session: id, change, actor});
      return;
    }
    const redis = await this.connect();
    const from = start && sinceTime(start, await serverTime(redis));
    const unreadable: string[] = [];
    const parts = listChanges(redis, {
      session: id,
      change,
      since: from,
      actor,
      limit: limit === 0 ? Infinity : limit,
      unreadable,
    });
    const isEach = id !== undefined || change !== undefined;
    await this.writeList(renderChanges(parts, {format, isEach}));
    this.warnAll(unreadable);
  }

  private async ship(options: ShipOptions): Promise<void> {
    const {after, follow, format, limit = follow ? 0 : 20} = this.flags;
    if (format !== 'ndjson' || (follow && limit > 0)) {
      throw new TokengateError('INVALID_USAGE', '--after and --follow print lines without an end.', {
        hint: 'Add --format ndjson, and to --follow no --limit.',
      });
    }
    const {findLastCursor, FOLLOW_MS, parseCursor, refuseGone, shipChanges} = await import('../lib/journal/ship.js');
    const typed = after === undefined ? undefined : parseCursor(after);
    const redis = await this.connect();
    let cursor = typed ?? (await findLastCursor(redis));
    let left = limit === 0 ? Infinity : limit;
    for (;;) {
      await refuseGone(redis, cursor);
      for await (const changes of shipChanges(redis, cursor, options)) {
        const shown = changes.slice(0, left);
        await this.write(shown.map(toShippedLine));
        left -= shown.length;
        const last = shown.at(-1);
        if (last !== undefined) cursor = parseCursor(last.cursor);
        if (left === 0) return;
      }
      if (!follow) return;
      await wait(FOLLOW_MS);
    }
  }
}
