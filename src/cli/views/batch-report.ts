import type {Outcome} from '../../lib/change/batch.js';
import type {Preview} from '../../lib/change/change.js';
import {TokengateError} from '../../lib/values/errors.js';
import {MAX_WARNINGS, reportLine, reportWarning} from '../terminal/report.js';
import {boundErrors, WorkOutput} from '../terminal/stdout.js';
import {roomOf, showCut, showMessage} from '../text/escape.js';
import {stringifyJson} from '../text/json.js';

interface Wording<R> {
  verb: string;
  done: string;
  describe: (result: R) => string;
  problems?: (result: R) => readonly string[];
  toJson: (result: R) => Record<string, unknown>;
}

interface ReportOptions {
  format: 'text' | 'json' | 'ndjson';
  quiet: boolean;
  dryRun: boolean;
}

type State = Outcome<unknown>['state'];

/** What holds for several results. */
interface More {
  /** Further fields of each in JSON. */
  facts?: Record<string, unknown> | undefined;
  /** The ID of the change that they are recorded under, and the field of a result that has it. */
  change?: string | undefined;
  changeField?: string | undefined;
}

/** Counts and reports what became of each session of a batch. Its end and the exit code always agree with what it said. */
export class BatchReport<R> {
  private readonly output = new WorkOutput();
  /** Why the batch ended early, when it was not interrupted. */
  private endedBy: string | undefined;
  private readonly counts = new Map<State, number>();
  private firstNotDone: string | undefined;
  private separator = '';
  private warnings = 0;
  /** What to do about what failed. */
  private readonly hints = new Set<string>();
  /** The IDs of the changes that were made. */
  private readonly changes = new Set<string>();

  constructor(
    private readonly wording: Wording<R>,
    private readonly options: ReportOptions,
  ) {}

  /** True when stdout takes no more: no reason to change what could not be told of. */
  get isClosed(): boolean {
    return this.output.closedBy !== undefined;
  }

  /** True when something has no answer or was not done: the end of the batch is not the end of the work. */
  get isCutShort(): boolean {
    return this.count('unknown') + this.count('not_done') > 0;
  }

  /** True when only what was asked for may be printed. */
  get isQuiet(): boolean {
    return this.options.quiet || this.options.format !== 'text';
  }

  /** The verb as a stable word of JSON, without what belongs only to a sentence. */
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
    for (const outcome of outcomes) {
      this.countOne(outcome.state);
      if (outcome.state === 'not_done') this.firstNotDone ??= outcome.id;
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
        text += `${showMessage(`Session '${cut(outcome.id)}' ${state}: ${this.wording.describe(outcome.result)}`, roomOf(process.stdout))}\n`;
      }
    }
    await this.write(text);
    await boundErrors();
  }

  /** Counts sessions with nothing to do, of which nothing else is told. */
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
          text += `${showMessage(`${would} session '${cut(id)}': ${now}${then === undefined ? '' : ` → ${then}`}`, roomOf(process.stdout))}\n`;
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
      // Of several none is that of all.
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
        `${this.separator === '' ? '' : '\n  '}],\n  "change_id": ${stringifyJson(change)},\n  "summary": ${stringifyJson(counts, '  ', '  ')}\n}\n`,
      );
    } else if (this.options.format === 'text' && failures.length === 0) {
      await this.write(`${this.options.dryRun ? '' : '✓ '}${capitalize(summary)}\n`);
    }
    await this.output.drain();
    if (this.warnings > MAX_WARNINGS) reportWarning(`${formatCount(this.warnings - MAX_WARNINGS)} more of this kind.`);
    if (failures.length === 0 && !this.isClosed) return;
    const from =
      this.firstNotDone === undefined ? '' : ` Not done from '${this.firstNotDone}' on, in the order of the IDs.`;
    const why = [this.endedBy, this.output.closedBy].flatMap((message) => message ?? []).join(' ');
    throw new TokengateError('BATCH_INCOMPLETE', `${why === '' ? '' : `${why} `}${capitalize(summary)}.${from}`, {
      hint: this.describeHints(),
    });
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
    return words
      .filter(([state]) => state === 'done' || this.count(state) > 0)
      .map(([state, word]) => `${word} ${formatCount(this.count(state))}`)
      .join(', ');
  }

  private toJson(
    outcome: Outcome<R>,
    failure: TokengateError | undefined,
    {facts: others, change, changeField = 'change_id'}: More,
  ): Record<string, unknown> {
    const state = outcome.state === 'done' ? this.wording.done : outcome.state;
    const isRecorded = outcome.state === 'done' || outcome.state === 'unknown';
    const recorded = {[changeField]: (isRecorded ? change : undefined) ?? null};
    if (isRecorded && change !== undefined) this.changes.add(change);
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

function cut(id: string): string {
  return showCut(id, roomOf(process.stdout));
}

/** `9,998`, without loading the tables of any language. */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
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

export function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
