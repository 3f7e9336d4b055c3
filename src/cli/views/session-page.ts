import {DEFAULT_BUDGET} from '../../lib/gateway/budget-judgement.js';
import {explainSession} from '../../lib/gateway/next-request.js';
import {readHistory} from '../../lib/gateway/request-history.js';
import {describeChanged} from '../../lib/journal/describe.js';
import {listChanges} from '../../lib/journal/history.js';
import type {Redis} from '../../lib/redis/contract.js';
import {TokengateError} from '../../lib/values/errors.js';
import {isText, nameOf, type RawId} from '../../lib/values/session-id.js';
import {formatUtc} from '../../lib/values/time.js';
import {type SameServer, toSessionCommand} from '../copyable/session-commands.js';
import {toCommandLine} from '../copyable/shell-quote.js';
import {describeDecision} from './next-request.js';
import {readRenewal} from './renewal.js';
import {describeRequest} from './requests.js';

/** A line of a page; may hold untrusted text. A command is for copying. */
export interface PageLine {
  kind: 'title' | 'text' | 'command';
  text: string;
}

/** Requests and changes to show on a page. */
const SHOWN = 10;

/** Explains a request of which nothing is known. */
const ANY_REQUEST = {cost: null, isRepeated: false, defaultBudget: DEFAULT_BUDGET};

/** Everything about a session: the outcome of its next request, its last requests and changes, and commands for it. */
export async function readSessionPage(redis: Redis, id: RawId, server: SameServer): Promise<PageLine[]> {
  const lines: PageLine[] = [];
  const add = async (title: string, read: () => Promise<PageLine[]>): Promise<void> => {
    lines.push({kind: 'title', text: title}, ...(await read().catch(toLine)));
  };
  await add('Next request', async () => explain(redis, id, server));
  await add('Last requests', async () => {
    const {requests} = await readHistory(redis, id, {limit: SHOWN});
    return requests.length === 0 ? [toText('None is recorded.')] : requests.map(describeRequest).map(toText);
  });
  await add('Last changes', async () => {
    const changes = await readChanges(redis, id);
    return changes.length === 0 ? [toText('None is in the journal.')] : changes.map(toText);
  });
  lines.push({kind: 'title', text: 'Commands'}, ...commandsFor(id, server));
  return lines;
}

/** Why the gateway lets a session's next request pass or not, and what to do about it. */
export async function explain(redis: Redis, id: RawId, server: SameServer): Promise<PageLine[]> {
  const [decision, renewal] = await Promise.all([explainSession(redis, id, ANY_REQUEST), readRenewal(redis, id)]);
  return describeDecision(decision, server, renewal).map((line) =>
    line.startsWith('  ') ? {kind: 'command', text: line.trim()} : toText(line),
  );
}

/** Empty for an ID that no command line can hold. */
function commandsFor(id: RawId, {flags}: SameServer): PageLine[] {
  const commands = [
    toSessionCommand('freeze-session', id, {flags: [...flags, '--for', '2h']}),
    toSessionCommand('unfreeze-session', id, {flags}),
    toSessionCommand('add-budget', id, {flags, words: ['5']}),
    toSessionCommand('reset-session', id, {flags}),
    toSessionCommand('explain-session', id, {flags}),
    toSessionCommand('list-requests', id, {flags}),
    isText(id) ? toCommandLine(['tokengate', 'list-changes', ...flags, ...sessionFlag(nameOf(id))]) : null,
  ];
  return commands.flatMap((text): PageLine[] => (text === null ? [] : [{kind: 'command', text}]));
}

/** An ID that begins with a dash would be taken for a flag. */
function sessionFlag(id: string): string[] {
  return id.startsWith('-') ? [`--session=${id}`] : ['--session', id];
}

async function readChanges(redis: Redis, id: RawId): Promise<string[]> {
  const lines: string[] = [];
  for await (const parts of listChanges(redis, {session: id, limit: SHOWN, unreadable: []})) {
    for (const {at, change, actor, command, reason, records, undoneBy} of parts) {
      const undone = undoneBy[0] === undefined ? '' : ` (undone by ${undoneBy[0]})`;
      const what = records.map(({keys}) => describeChanged(keys)).join('; ');
      lines.push(
        `${formatUtc(at)}  ${change}  ${actor}  ${command}${undone}  ${what}${reason === '' ? '' : `  Reason: ${reason}`}`,
      );
    }
  }
  return lines;
}

function toText(text: string): PageLine {
  return {kind: 'text', text};
}

/** A part that cannot be read is no reason to hide the others. */
function toLine(error: unknown): PageLine[] {
  if (!(error instanceof TokengateError)) throw error;
  return [toText(error.message)];
}
