import {type Outcome, runBatch} from '../../../lib/change/batch.js';
import type {Change} from '../../../lib/change/change.js';
import type {Journal} from '../../../lib/journal/entry.js';
import type {SecondLook} from '../../../lib/operations/lasting.js';
import {SecondLooks} from '../../../lib/operations/second-look.js';
import {refuseReplica} from '../../../lib/redis/connect.js';
import type {Redis} from '../../../lib/redis/contract.js';
import {TokengateError} from '../../../lib/values/errors.js';
import {nameOf, type RawId, sessionNotFound} from '../../../lib/values/session-id.js';
import {capitalize, formatCount} from '../../text/words.js';
import {describeSighting} from '../../views/second-look.js';
import type {PageLine} from '../../views/session-page.js';

/** What was done; may hold untrusted text. */
export interface Done {
  text: string;
  warnings: readonly string[];
  /** False when nothing was changed, so that there is nothing to undo. */
  isChanged: boolean;
  /** The sessions that were not changed. */
  left: readonly RawId[];
  /** A page with the outcome of each session, if some were not changed. */
  page?: PageLine[];
}

/** The sessions to change, and the connection to them. */
export interface Place {
  redis: Redis;
  keys: readonly RawId[];
  journal: Journal | undefined;
}

/** A change, and the words for its outcome. */
export interface Work<R> {
  change: Change<R>;
  /** By the server's clock. */
  began: Date;
  /** Describes the outcome for a single session. */
  tell: (result: R, isChanged: boolean) => {text: string; warnings?: readonly string[]};
  /** Describes the outcome for several sessions: how many were changed, of how many. */
  tellAll: (changed: number, of: number) => string;
  look?: SecondLook<R>;
}

interface Ended<R> {
  key: RawId;
  outcome: Outcome<R>;
}

type Failure = Exclude<Outcome<unknown>, {state: 'done' | 'unchanged'}>;

/**
 * Changes sessions in one batch, under one change of the journal.
 *
 * @throws TokengateError why a single session was not changed
 */
export async function carryOut<R>({redis, keys, journal}: Place, work: Work<R>): Promise<Done> {
  refuseReplica(redis);
  const isOne = keys.length === 1;
  const {ended, sightings} = await runAll(
    {redis, keys, journal: isOne ? journal : journal && {...journal, began: work.began}},
    work,
  );
  const [only] = ended;
  const done = isOne && only !== undefined ? doneOne(only, work) : doneAll(ended, work);
  return {...done, warnings: [...done.warnings, ...sightings]};
}

async function runAll<R>(
  {redis, keys, journal}: Place,
  {change, look}: Work<R>,
): Promise<{ended: Ended<R>[]; sightings: string[]}> {
  const ended: Ended<R>[] = [];
  const sightings: string[] = [];
  const looks =
    look &&
    new SecondLooks(redis, look, (found) => {
      sightings.push(...found.map(describeSighting));
    });
  let isLost = false;
  for await (const outcomes of runBatch(redis, keys, change, {journal, stop: new AbortController().signal})) {
    for (const outcome of outcomes) {
      const key = keys[ended.length];
      if (key !== undefined) ended.push({key, outcome});
      isLost ||= outcome.state === 'unknown' || outcome.state === 'not_done';
    }
    const results = outcomes.flatMap((outcome) => (outcome.state === 'done' ? [outcome.result] : []));
    looks?.add(results, journal);
  }
  if (!isLost) await looks?.finish();
  return {ended, sightings};
}

function doneOne<R>({key, outcome}: Ended<R>, {tell}: Work<R>): Done {
  if (!('result' in outcome)) throw whyNot(key, outcome);
  const isChanged = outcome.state === 'done';
  return {warnings: [], ...tell(outcome.result, isChanged), isChanged, left: []};
}

function doneAll<R>(ended: readonly Ended<R>[], {tell, tellAll}: Work<R>): Done {
  const of = (...states: Outcome<R>['state'][]): Ended<R>[] =>
    ended.filter(({outcome}) => states.includes(outcome.state));
  const [changed, unknown] = [of('done'), of('unknown')];
  const failures = of('failed', 'not_found', 'unknown', 'not_done');
  const warnings = ended.flatMap(({outcome}) =>
    'result' in outcome ? (tell(outcome.result, outcome.state === 'done').warnings ?? []) : [],
  );
  const parts = [
    ...countPart(of('unchanged'), 'unchanged'),
    ...countPart(of('failed', 'not_found'), 'failed'),
    ...countPart(unknown, 'unknown'),
    ...countPart(of('not_done'), 'not done'),
  ];
  const text = [tellAll(changed.length, ended.length), ...parts].join(', ');
  const page = failures.length === 0 ? {} : {page: toPage(ended, text)};
  return {
    text,
    warnings: [...failures.map(({key, outcome}) => whyNot(key, outcome as Failure).message), ...warnings],
    isChanged: changed.length + unknown.length > 0,
    left: failures.map(({key}) => key),
    ...page,
  };
}

function countPart(ended: readonly unknown[], what: string): string[] {
  return ended.length === 0 ? [] : [`${formatCount(ended.length)} ${what}`];
}

/** Sessions to name under each title of a page. */
const NAMED = 1000;

const TITLES: [state: Outcome<unknown>['state'], title: string][] = [
  ['failed', 'failed'],
  ['not_found', 'not found'],
  ['unknown', 'unknown: see whether they were changed'],
  ['not_done', 'not done'],
  ['unchanged', 'unchanged: nothing was to be done'],
  ['done', 'done'],
];

/** Sessions that were not changed come first. */
function toPage(ended: readonly Ended<unknown>[], summary: string): PageLine[] {
  const lines: PageLine[] = [{kind: 'text', text: summary}];
  for (const [state, title] of TITLES) {
    const some = ended.filter(({outcome}) => outcome.state === state);
    if (some.length === 0) continue;
    lines.push({kind: 'title', text: `${capitalize(title)} (${formatCount(some.length)})`});
    for (const one of some.slice(0, NAMED)) lines.push({kind: 'text', text: describeEnd(one)});
    if (some.length > NAMED) lines.push({kind: 'text', text: `and ${formatCount(some.length - NAMED)} more`});
  }
  return lines;
}

function describeEnd({key, outcome}: Ended<unknown>): string {
  return outcome.state === 'failed' || outcome.state === 'unknown' ? whyNot(key, outcome).message : nameOf(key);
}

/** Why a session was not changed, or why that is unknown. */
function whyNot(key: RawId, outcome: Failure): TokengateError {
  const name = `session '${nameOf(key)}'`;
  switch (outcome.state) {
    case 'failed': {
      const {code, message, hint, cause} = outcome.error;
      const isNamed = message.includes(name);
      return new TokengateError(code, isNamed ? message : `${capitalize(name)}: ${message}`, {hint, cause});
    }
    case 'unknown': {
      const message = `${outcome.cause.message} It is unknown whether ${name} was changed.`;
      return new TokengateError('OUTCOME_UNKNOWN', `${message} ${outcome.look}`, {cause: outcome.cause});
    }
    case 'not_done': {
      const {code = 'NOT_DONE', message = ''} = outcome.cause ?? {};
      return new TokengateError(code, `${capitalize(name)} was not changed. ${message}`, {cause: outcome.cause});
    }
    case 'not_found':
      return sessionNotFound(key);
  }
}
