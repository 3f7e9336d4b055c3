import {Flags} from '@oclif/core';

import {BaseCommand} from '../cli/oclif/base-command.js';
import {countFlag} from '../cli/oclif/flags.js';
import {parseTypedTime} from '../cli/text/time-zone.js';
import {CHANGE_FORMATS, renderChanges} from '../cli/views/changes.js';
import {listChanges} from '../lib/journal/history.js';
import {serverTime} from '../lib/redis/server-time.js';
import {parseSessionId} from '../lib/values/session-id.js';
import {parseSince, sinceTime} from '../lib/values/time.js';

export default class ListChanges extends BaseCommand<typeof ListChanges> {
  static override summary = 'List who changed what, and when';
  static override description = `Reads the journal in which every command records its changes, newest first. A change of many sessions takes one line of the table; --session, --change, JSON and NDJSON show each session.

The actor is TOKENGATE_ACTOR, or else user@host. The journal keeps the newest 100,000 entries (TOKENGATE_JOURNAL_LIMIT); a batch takes one entry for 100 sessions.`;
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
    limit: countFlag({description: 'Maximum number of changes', default: 20, min: 1}),
    format: Flags.option({
      char: 'o',
      options: CHANGE_FORMATS,
      description: 'Output format; --json is short for --format json',
    })(),
  };

  async run(): Promise<void> {
    const {session, change, since, actor, limit, json, format = json ? 'json' : 'table'} = this.flags;
    const id = session === undefined ? undefined : parseSessionId(session);
    const start = since === undefined ? undefined : parseSince(since, parseTypedTime);
    const redis = await this.connect();
    const from = start && sinceTime(start, await serverTime(redis));
    const unreadable: string[] = [];
    const parts = listChanges(redis, {session: id, change, since: from, actor, limit, unreadable});
    const isEach = id !== undefined || change !== undefined;
    await this.write(renderChanges(parts, {format, isEach}));
    this.warnAll(unreadable);
  }
}
