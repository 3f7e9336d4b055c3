import {STORE_ID} from '../../lib/gateway/keys.js';
import type {RecordedChange} from '../../lib/operations/undo.js';
import type {ServerInfo} from '../../lib/redis/contract.js';
import {describeServer} from '../../lib/redis/describe-server.js';
import type {Selected} from '../../lib/sessions/select.js';
import {nameOf, type RawId} from '../../lib/values/session-id.js';
import {countOf, formatCount} from '../text/words.js';

/** The number of IDs to name in a question. */
export const NAMED = 3;

/** `Reset 4 sessions on localhost:6379 db 0 ('a', 'b', 'c', and 1 more)?`; may hold untrusted text. */
export function askAbout(
  verb: string,
  {count, first, unknown}: {count: number; first: readonly RawId[]; unknown?: ReadonlySet<RawId>},
  server: ServerInfo,
): string {
  if (first.length === 1 && first[0] === STORE_ID) return `${verb} the store on ${describeServer(server)}?`;
  const names = first.slice(0, NAMED).map((id) => `'${nameOf(id)}'${unknown?.has(id) === true ? ' (unknown)' : ''}`);
  const more = count > NAMED ? `, and ${formatCount(count - NAMED)} more` : '';
  return `${verb} ${countOf(count, 'session')} on ${describeServer(server)} (${names.join(', ')}${more})?`;
}

/** The question of a batch, which names doubtful sessions first, and those that are left out before it. */
export function askAboutSteps(
  verb: string,
  steps: readonly {selected: Selected; unknown?: ReadonlySet<RawId>}[],
  server: ServerInfo,
): string {
  const count = steps.reduce((sum, {selected}) => sum + selected.ids.length, 0);
  const unknown = new Set(steps.flatMap((step) => [...(step.unknown ?? [])]));
  const first = [
    ...unknown,
    ...steps.flatMap(({selected: {ids}}) => ids.filter((id) => !unknown.has(id)).slice(0, NAMED)),
  ];
  const missing = steps.flatMap(({selected}) => selected.missing.map((id) => `'${nameOf(id)}'`));
  const leftOut = missing.length === 0 ? '' : `Not found, and left out: ${namesOf(missing)}. `;
  return `${leftOut}${askAbout(verb, {count, first, unknown}, server)}`;
}

/** The first of some quoted IDs, and how many more there are. */
export function namesOf(quoted: readonly string[]): string {
  const more = quoted.length > NAMED ? `, and ${formatCount(quoted.length - NAMED)} more` : '';
  return `${quoted.slice(0, NAMED).join(', ')}${more}`;
}

/** The beginning of the question whether to undo. */
export function undoVerb(changes: readonly RecordedChange[]): string {
  return `Undo ${changes.map(describeRecorded).join(' and ')}, of`;
}

export function describeRecorded({change, command, actor}: RecordedChange): string {
  return `${command} (change ${change} by ${actor})`;
}
