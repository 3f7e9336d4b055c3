import type {CheckedPage} from '../../lib/audit/audit.js';
import {type Advice, breaksDashboard, type Finding, type Fixable} from '../../lib/audit/finding.js';
import type {Outcome} from '../../lib/change/batch.js';
import {TokengateError} from '../../lib/values/errors.js';
import {nameOf} from '../../lib/values/session-id.js';
import {type SameServer, toKeyDeletion, toSessionCommand} from '../copyable/session-commands.js';
import {reportLine} from '../terminal/report.js';
import {drainOutput, explainClosing, WorkOutput, writeOutput} from '../terminal/stdout.js';
import {roomOf, showCut, showMessage} from '../text/escape.js';
import {stringifyJson} from '../text/json.js';
import {countOf, formatCount} from '../text/words.js';

interface ReportOptions {
  format: 'text' | 'json' | 'ndjson';
  /** Whether repairs follow. */
  willRepair: boolean;
  server: SameServer;
}

type RepairState = 'fixed' | 'would_fix' | 'changed' | 'failed' | 'unknown' | 'not_done';

const WORDS: Record<RepairState, string> = {
  fixed: 'Fixed',
  would_fix: 'Would fix',
  changed: 'Not fixed, since it has changed meanwhile',
  failed: 'Not fixed',
  unknown: 'It is unknown whether this was fixed',
  not_done: 'Not fixed',
};

/** Prints and counts the findings of a check of the store, and the outcome of the repairs. */
export class StoreReport {
  readonly counts = {keys: 0, findings: 0, fixable: 0, fixed: 0, not_fixed: 0};
  /** The number of findings that make the gateway's dashboard fail. */
  private dashboardBreakers = 0;
  /** Why a repair failed or got no answer. */
  private failure: TokengateError | undefined;
  private separator = '';
  /** The output of the repairs, once they have begun. */
  private repairOutput: WorkOutput | undefined;

  constructor(private readonly options: ReportOptions) {}

  /** True when nothing that was found is left. */
  get isClean(): boolean {
    return this.counts.fixed === this.counts.findings;
  }

  /** True when stdout takes no more: then nothing should be repaired that could not be reported. */
  get isClosed(): boolean {
    return this.repairOutput?.closedBy !== undefined;
  }

  async open(): Promise<void> {
    await this.write({json: '{\n  "findings": ['});
  }

  async addPage({keys, findings}: CheckedPage): Promise<void> {
    this.counts.keys += keys;
    this.counts.findings += findings.length;
    this.counts.fixable += findings.filter(({repair}) => repair !== null).length;
    this.dashboardBreakers += findings.filter(breaksDashboard).length;
    for (const finding of findings) {
      const {id, key, problem, what, effect, answer, repair} = finding;
      const commands = this.commandsFor(finding);
      const fix = repair === null ? [] : [`--fix: ${repair.action}`];
      const name = shortKey(key);
      // A truncated command would name another key.
      const use = name === key ? `Use: ${commands.join(' or ')}` : 'Use: the commands that --json shows';
      const wayOut = [...fix, ...(commands.length === 0 ? [] : [use])].join('. ');
      const json = {key, session_id: nameOf(id), problem, found: what, effect, http_status: answer};
      await this.write({
        text: `${name}: ${what}: ${effect}.${wayOut === '' ? '' : ` ${wayOut}`}`,
        type: 'finding',
        element: {...json, fix: repair?.action ?? null, commands},
      });
    }
  }

  async beginRepairs(): Promise<void> {
    await this.write({json: `${this.separator === '' ? '' : '\n  '}],\n  "repairs": [`});
    this.separator = '';
    if (!this.options.willRepair) return;
    await this.attempt(drainOutput);
    this.repairOutput = new WorkOutput();
  }

  async addPlan({key, problem, repair}: Fixable): Promise<void> {
    const text = `${WORDS.would_fix}: ${shortKey(key)} (${repair.action})`;
    const element = {key, problem, action: repair.action, outcome: 'would_fix' satisfies RepairState};
    await this.write({text, type: 'repair', element});
  }

  async addRepair(
    {key, problem, repair: {action}}: Fixable,
    outcome: Outcome<null>,
    change: string | null,
  ): Promise<void> {
    const state = toRepairState(outcome);
    if (state === 'fixed') this.counts.fixed++;
    else this.counts.not_fixed++;
    const error = outcome.state === 'failed' ? outcome.error : 'cause' in outcome ? outcome.cause : undefined;
    this.failure ??= error;
    const look = outcome.state === 'unknown' ? ` ${outcome.look}` : '';
    const why = error === undefined ? '' : `: ${error.message}${look}`;
    const text = `${WORDS[state]}: ${shortKey(key)} (${action})${why}`;
    if (state !== 'fixed' && this.options.format === 'text') {
      // The summary covers repairs that did not begin.
      if (state !== 'not_done') reportLine(text);
      return;
    }
    const reason = error === undefined ? {} : {error: {code: error.code, message: `${error.message}${look}`}};
    await this.write({
      text,
      type: 'repair',
      element: {key, problem, action, outcome: state, ...reason, change_id: state === 'fixed' ? change : null},
    });
  }

  /** Ends the document. Returns the summary for people, as lines. */
  async close(): Promise<string[]> {
    const {keys, findings, fixable, fixed, not_fixed: notFixed} = this.counts;
    const end = this.separator === '' ? '' : '\n  ';
    const summary = {...this.counts, dashboard_fails: this.dashboardBreakers > 0};
    await this.write({json: `${end}],\n  "summary": ${stringifyJson(summary, '  ', '  ')}\n}\n`});
    const found = findings === 0 ? 'nothing' : countOf(findings, 'finding');
    const isTried = fixed + notFixed > 0;
    const fix = isTried
      ? `, fixed ${formatCount(fixed)}`
      : fixable > 0
        ? `, of which --fix repairs ${formatCount(fixable)}`
        : '';
    const dashboard = `The gateway's own dashboard answers HTTP 500 for all sessions, because it cannot read ${countOf(this.dashboardBreakers, 'value')} of these.`;
    return [
      ...(this.dashboardBreakers > 0 ? [dashboard] : []),
      `${this.isClean ? '✓' : '✗'} Looked at ${countOf(keys, 'key')}: ${found}${fix}`,
    ];
  }

  /**
   * Waits until the summary is printed, too.
   *
   * @throws TokengateError REPAIR_INCOMPLETE when a repair failed or could not be reported
   */
  async finish(): Promise<void> {
    const {fixed, not_fixed: notFixed} = this.counts;
    if (fixed + notFixed > 0) await this.repairOutput?.drain();
    const why = [this.failure?.message, this.repairOutput?.closedBy].flatMap((message) => message ?? []);
    if (why.length === 0) return;
    const message = `${why.join(' ')} Fixed ${formatCount(fixed)}, not fixed ${formatCount(notFixed)}.`;
    throw new TokengateError('REPAIR_INCOMPLETE', message, {
      hint: notFixed > 0 ? 'Running it again shows what is left.' : undefined,
    });
  }

  private commandsFor({id, key, advice}: Finding): string[] {
    const {server} = this.options;
    const {flags} = server;
    const toCommand = (action: Advice): string | null => {
      switch (action) {
        case 'set_budget':
          return toSessionCommand('set-budget', id, {flags, words: ['AMOUNT']});
        case 'reset_session':
          return toSessionCommand('reset-session', id, {flags});
        case 'reset_spent':
          return toSessionCommand('reset-session', id, {flags: [...flags, '--keep-budget']});
        case 'freeze':
          return toSessionCommand('freeze-session', id, {flags});
        case 'unfreeze':
          return toSessionCommand('unfreeze-session', id, {flags});
        case 'set_period':
          return toSessionCommand('set-period', id, {flags, words: ['--every', 'UNIT', '--amount', 'AMOUNT']});
        case 'end_period':
          return toSessionCommand('set-period', id, {flags, words: ['--every', 'none']});
        case 'revoke_grant':
          return toSessionCommand('revoke-grant', id, {flags, words: ['GRANT_ID']});
        case 'revoke_grants':
          return toSessionCommand('revoke-grant', id, {flags});
        case 'delete_key':
          return toKeyDeletion(id, key, server);
      }
    };
    return advice.flatMap((action) => toCommand(action) ?? []);
  }

  /** Writes text, which may be untrusted, and `json`, which belongs to the document alone. */
  private async write(
    piece: {json: string} | {text: string; type: string; element: Record<string, unknown>},
  ): Promise<void> {
    const {format} = this.options;
    if ('json' in piece) {
      if (format === 'json') await this.put(piece.json);
    } else if (format === 'text') {
      await this.put(`${showMessage(piece.text, roomOf(process.stdout))}\n`);
    } else if (format === 'ndjson') {
      await this.put(`${stringifyJson({type: piece.type, ...piece.element})}\n`);
    } else {
      await this.put(`${this.separator}\n    ${stringifyJson(piece.element, '  ', '    ')}`);
      this.separator = ',';
    }
  }

  private async put(text: string): Promise<void> {
    if (this.repairOutput === undefined) await this.attempt(() => writeOutput([text]));
    else await this.repairOutput.write(text);
  }

  /** @throws TokengateError REPAIR_INCOMPLETE when repairs would have followed a finding that can't be printed */
  private async attempt(output: () => Promise<void>): Promise<void> {
    try {
      await output();
    } catch (error) {
      if (!this.options.willRepair) throw error;
      throw new TokengateError('REPAIR_INCOMPLETE', `${explainClosing(error)} Nothing was fixed.`);
    }
  }
}

/** Returns the key unescaped when it is short enough. */
function shortKey(key: string): string {
  const room = roomOf(process.stdout);
  return key.length > room ? showCut(key, room) : key;
}

function toRepairState({state}: Outcome<null>): RepairState {
  if (state === 'done') return 'fixed';
  return state === 'unchanged' || state === 'not_found' ? 'changed' : state;
}
