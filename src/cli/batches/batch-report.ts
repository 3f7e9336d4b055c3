import type {Outcome} from '../../lib/change/batch.js';
import type {Preview} from '../../lib/change/change.js';
import type {Sighting} from '../../lib/operations/lasting.js';
import {TokengateError} from '../../lib/values/errors.js';
import {MAX_WARNINGS, reportLine, reportWarning} from '../terminal/report.js';
import {boundErrors, WorkOutput} from '../terminal/stdout.js';
import {isPlainText, roomOf, showCut, showMessage} from '../text/escape.js';
import {stringifyJson} from '../text/json.js';
import {capitalize, formatCount} from '../text/words.js';
import {describeSighting, hasNotLasted, toSecondLookJson} from '../views/second-look.js';

interface Wording<R> {
  verb: string;
  done: string;
  describe: (result: R) => string;
  problems?: (result: R) => readonly string[];
  toJson: (result: R) => Record<string, unknown>;
  isSilentWhenNone?: boolean;
  secondLook?: object | null;
}

interface ReportOptions {
  format: 'text' | 'json' | 'ndjson';
  quiet: boolean;
  dryRun: boolean;
}

type State = Outcome<unknown>['state'];

/** What several results have in common. */
interface More {
  /** More fields of each result in JSON. */
  facts?: Record<string, unknown> | undefined;
  /** The ID of their change, and the field of a result that shows it. */
  change?: string | undefined;
  changeField?: string | undefined;
}

/**
 * Counts and reports the outcome of each session of a batch. Its summary and the exit code come from the same counts,
 * so that they always agree.
 */
export class BatchReport<R> {
  private readonly output = new WorkOutput();
  /** Why the batch ended early, unless it was interrupted. */
  private endedBy: string | undefined;
  private readonly counts = new Map<State, number>();
  private firstNotDone: string | undefined;
  /** True once one after it was reached: some sessions of a chunk can take another way than the others. */
  private isScattered = false;
  private separator = '';
  private warnings = 0;
  /** What to do about failures. */
  private readonly hints = new Set<string>();
  /** The findings of second looks, as JSON. */
  private readonly sightings: object[] = [];
  private notLasting = 0;
  /** The IDs of the changes that were made. */
  private readonly changes = new Set<string>();

  constructor(
    private readonly wording: Wording<R>,
    private readonly options: ReportOptions,
  ) {}

  /** True when stdout takes no more: then nothing should be changed that could not be reported. */
  get isClosed(): boolean {
    return this.output.closedBy !== undefined;
  }

  /** True when a session has no answer or was not reached: the batch ended before its work was done. */
  get isCutShort(): boolean {
    return this.count('unknown') + this.count('not_done') > 0;
  }

  /** True when only the requested output may be printed. */
  get isQuiet(): boolean {
    return this.options.quiet || this.options.format !== 'text';
  }

  /** True for cron where another host has done everything since this one looked. */
  private get isSilent(): boolean {
    return this.options.quiet && this.wording.isSilentWhenNone === true && this.count('done') === 0;
  }

  /** The verb as a stable word for JSON, without the additions that make it a sentence. */
  private get action(): string {
    return this.wording.verb.replace(/ .*/, '');
  }

  async open(): Promise<void> {
    if (this.options.format !== 'json') return;
    await this.write(
      `{\n  "action": ${JSON.stringify(this.action)},\n  "dry_run": ${this.options.dryRun},\n  "results": [`,
    );
  }

  async addMissing(ids: readonly string[], more: More & {hint?: string | undefined} = {}): Promise<void> {
    if (more.hint !== undefined) this.hints.add(more.hint);
    await this.add(
      ids.map((id) => ({id, state: 'not_found'})),
      more,
    );
  }

  async add(outcomes: readonly Outcome<R>[], more: More = {}): Promise<void> {
    let text = '';
    const room = roomOf(process.stdout);
    if (more.change !== undefined && outcomes.some(isRecorded)) this.changes.add(more.change);
    for (const outcome of outcomes) {
      this.countOne(outcome.state);
      if (outcome.state === 'not_done') this.firstNotDone ??= outcome.id;
      else this.isScattered ||= this.firstNotDone !== undefined;
      if (outcome.state === 'failed' && outcome.error.hint !== undefined) this.hints.add(outcome.error.hint);
      if ('cause' in outcome) this.endedBy ??= outcome.cause?.message;
      const failure = describeFailure(outcome);
      if ('result' in outcome) this.warn(this.wording.problems?.(outcome.result) ?? []);
      if (this.options.format !== 'text') {
        text += this.element(this.toJson(outcome, failure, more));
      } else if (failure !== undefined) {
        if (outcome.state !== 'not_done') reportLine(failure.message);
      } else if (!this.options.quiet && 'result' in outcome) {
        const state = outcome.state === 'done' ? this.wording.done : 'unchanged';
        text += `${this.line(outcome.id, `${state}: ${this.wording.describe(outcome.result)}`, room)}\n`;
      }
    }
    await this.write(text);
    await boundErrors();
  }

  /** Adds the findings of a second look at changed sessions. */
  async addSightings(sightings: readonly Sighting[]): Promise<void> {
    let text = '';
    for (const sighting of sightings) {
      if (hasNotLasted(sighting)) this.notLasting++;
      const id = 'id' in sighting ? sighting.id : null;
      const json = toSecondLookJson([sighting]);
      if (this.options.format === 'json') this.sightings.push({session_id: id, ...json});
      if (this.options.format === 'ndjson') text += `${stringifyJson({session_id: id, second_look: json})}\n`;
    }
    this.warn(sightings.map(describeSighting));
    await this.write(text);
  }

  /** Counts sessions without a difference; nothing else is printed about them. */
  addSame(count: number): void {
    if (count > 0) this.counts.set('unchanged', this.count('unchanged') + count);
  }

  async addPreviews(previews: readonly Preview[], more: More = {}): Promise<void> {
    const {verb} = this.wording;
    const refused: Outcome<R>[] = [];
    let text = '';
    for (const preview of previews) {
      const {id, state, now} = preview;
      const then = state === 'done' ? preview.then : undefined;
      if (state === 'not_found') refused.push({id, state});
      if (state === 'failed') refused.push({id, state, error: preview.error});
      if (state === 'not_found' || state === 'failed') continue;
      this.countOne(state);
      if (this.options.format === 'text') {
        const would = state === 'done' ? `Would ${verb}` : 'Would leave';
        if (!this.options.quiet)
          text += `${showMessage(`${would} ${nameSession(id)}: ${now}${then === undefined ? '' : ` → ${then}`}`, roomOf(process.stdout))}\n`;
      } else {
        const outcome = state === 'done' ? `would_${this.action}` : 'unchanged';
        text += this.element({
          session_id: id,
          outcome,
          ...more.facts,
          [more.changeField ?? 'change_id']: null,
          now,
          then: then ?? null,
        });
      }
    }
    await this.write(text);
    await this.add(refused, more);
  }

  /** @throws TokengateError BATCH_INCOMPLETE when not all was done */
  async close(): Promise<void> {
    const failures = (['not_found', 'failed', 'unknown', 'not_done'] as const).filter((state) => this.count(state) > 0);
    const summary = this.describe();
    if (this.options.format === 'json') {
      // The document has one change ID only if there was one change.
      const change = this.changes.size === 1 ? [...this.changes][0] : null;
      const done = this.options.dryRun ? `would_${this.action}` : this.wording.done;
      const counts = {
        [done]: this.count('done'),
        unchanged: this.count('unchanged'),
        not_found: this.count('not_found'),
        failed: this.count('failed'),
        unknown: this.count('unknown'),
        not_done: this.count('not_done'),
      };
      await this.write(
        `${this.separator === '' ? '' : '\n  '}],${this.describeLooks()}\n  "change_id": ${stringifyJson(change)},\n  "summary": ${stringifyJson(counts, '  ', '  ')}\n}\n`,
      );
    } else if (this.options.format === 'text' && failures.length + this.notLasting === 0 && !this.isSilent) {
      await this.write(`${this.options.dryRun ? '' : '✓ '}${capitalize(summary)}\n`);
    }
    await this.output.drain();
    if (this.warnings > MAX_WARNINGS) reportWarning(`${formatCount(this.warnings - MAX_WARNINGS)} more of this kind.`);
    if (failures.length + this.notLasting === 0 && !this.isClosed) return;
    const from =
      this.firstNotDone === undefined || this.isScattered
        ? ''
        : ` Not done from '${this.firstNotDone}' on, in the order of the IDs.`;
    // Nothing else may have reported it.
    const changes = this.output.isUnread ? [...this.changes].join(', ') : '';
    const recorded = changes === '' ? '' : ` Recorded as change ${changes}.`;
    const why = [this.endedBy, this.output.closedBy].flatMap((message) => message ?? []).join(' ');
    throw new TokengateError(
      'BATCH_INCOMPLETE',
      `${why === '' ? '' : `${why} `}${capitalize(summary)}.${recorded}${from}`,
      {
        hint: this.describeHints(),
      },
    );
  }

  /** A field of the document, for changes that a request could undo. */
  private describeLooks(): string {
    const {secondLook} = this.wording;
    if (secondLook === undefined) return '';
    const isLooked = secondLook !== null && !this.options.dryRun;
    return `\n  "second_looks": ${stringifyJson(isLooked ? this.sightings : null, '  ', '  ')},`;
  }

  private describeHints(): string | undefined {
    const isUntouched = this.count('done') + this.count('unknown') === 0;
    const hints = [...this.hints].map((hint) => (isUntouched ? hint : hint.replace(/ ?Nothing was changed\. ?/, '')));
    if (this.isCutShort) hints.push('Running it again finishes the work.');
    return hints.length === 0 ? undefined : hints.join(' ');
  }

  private warn(messages: readonly string[]): void {
    for (const message of messages) if (++this.warnings <= MAX_WARNINGS) reportWarning(message);
  }

  private describe(): string {
    const words: [State, string][] = [
      ['done', this.options.dryRun ? `would ${this.wording.verb}` : this.wording.done],
      ['unchanged', 'unchanged'],
      ['not_found', 'not found'],
      ['failed', 'failed'],
      ['unknown', 'unknown'],
      ['not_done', 'not done'],
    ];
    const lost = this.notLasting === 0 ? '' : `, of which ${formatCount(this.notLasting)} did not last`;
    return words
      .filter(([state]) => state === 'done' || this.count(state) > 0)
      .map(([state, word]) => `${word} ${formatCount(this.count(state))}${state === 'done' ? lost : ''}`)
      .join(', ');
  }

  private toJson(
    outcome: Outcome<R>,
    failure: TokengateError | undefined,
    {facts: others, change, changeField = 'change_id'}: More,
  ): Record<string, unknown> {
    const state = outcome.state === 'done' ? this.wording.done : outcome.state;
    const recorded = {[changeField]: (isRecorded(outcome) ? change : undefined) ?? null};
    const facts = {session_id: outcome.id, outcome: state, ...others, ...recorded};
    if ('result' in outcome) return {...facts, ...this.wording.toJson(outcome.result)};
    return failure === undefined ? facts : {...facts, error: {code: failure.code, message: failure.message}};
  }

  private element(value: Record<string, unknown>): string {
    if (this.options.format === 'ndjson') return `${stringifyJson(value)}\n`;
    const text = `${this.separator}\n    ${stringifyJson(value, '  ', '    ')}`;
    this.separator = ',';
    return text;
  }

  /** A line about a session; most are short and plain. */
  private line(id: string, what: string, room: number): string {
    const plain = `Session '${id}' ${what}`;
    if (id !== '' && plain.length <= room && isPlainText(plain)) return plain;
    return showMessage(`${capitalize(nameSession(id))} ${what}`, room);
  }

  private count(state: State): number {
    return this.counts.get(state) ?? 0;
  }

  private countOne(state: State): void {
    this.counts.set(state, this.count(state) + 1);
  }

  private async write(text: string): Promise<void> {
    if (text !== '') await this.output.write(text);
  }
}

/** A change of the store as a whole has no session. */
function nameSession(id: string): string {
  return id === '' ? 'the store' : `session '${cut(id)}'`;
}

function cut(id: string): string {
  return showCut(id, roomOf(process.stdout));
}

function describeFailure(outcome: Outcome<unknown>): TokengateError | undefined {
  const {id, state} = outcome;
  switch (state) {
    case 'not_found':
      return new TokengateError('SESSION_NOT_FOUND', `Session '${id}' not found.`);
    case 'failed':
      return new TokengateError(outcome.error.code, `Session '${id}': ${outcome.error.message}`);
    case 'unknown':
      return new TokengateError(
        'OUTCOME_UNKNOWN',
        `Session '${id}': it is unknown whether it was changed. ${outcome.look}`,
      );
    case 'not_done':
      return new TokengateError('NOT_DONE', `Session '${id}' was not changed.`);
    default:
      return undefined;
  }
}

/** True if the journal has the change, or may have it. */
function isRecorded({state}: Outcome<unknown>): boolean {
  return state === 'done' || state === 'unknown';
}
