import {Command, Errors, type Interfaces} from '@oclif/core';

import type {Color} from '../../lib/contexts/config.js';
import {JOURNAL_KEY, STORE_KEY} from '../../lib/gateway/keys.js';
import type {Journal} from '../../lib/journal/entry.js';
import type {SecondLook} from '../../lib/operations/lasting.js';
import {connect, refuseReplica} from '../../lib/redis/connect.js';
import type {Redis, ServerInfo} from '../../lib/redis/contract.js';
import {describeServer} from '../../lib/redis/describe-server.js';
import {TokengateError} from '../../lib/values/errors.js';
import type {RawId} from '../../lib/values/session-id.js';
import {type Connection, readConnection} from '../connection/connection-flags.js';
import {Guard} from '../connection/guard.js';
import {redisCliOptions} from '../copyable/redis-cli.js';
import type {SameServer} from '../copyable/session-commands.js';
import {toCommandLine} from '../copyable/shell-quote.js';
import {EXIT, endWith} from '../terminal/exit-code.js';
import {onInterrupt} from '../terminal/interrupts.js';
import {askForName, canAsk, confirm, confirmationRequired} from '../terminal/prompts.js';
import {MAX_WARNINGS, quotingHint, reportError, reportWarning, wantsJson} from '../terminal/report.js';
import {drainOutput, keepAnswer, writeOutput} from '../terminal/stdout.js';
import {paint} from '../text/colour.js';
import {roomOf, showCut, showMessage, showText} from '../text/escape.js';
import {stringifyJson} from '../text/json.js';
import type {SecondLookJson} from '../views/second-look.js';
import {globalFlags} from './flags.js';
import {actorName, makeJournal} from './journal-flags.js';

type FlagsOf<T extends typeof Command> = Interfaces.InferredFlags<typeof globalFlags & T['flags']>;
type ArgsOf<T extends typeof Command> = Interfaces.InferredArgs<T['args']>;

/** Lines that begin with one of these are coloured. */
const MARKS: Record<string, 'green' | 'red'> = {'✓': 'green', '✗': 'red'};

/** What a change does, for its question: as in "Set the budget of" and the IDs. */
interface ChangeInWords {
  verb: string;
  ids: readonly RawId[];
}

/** The server when nothing else is said. */
const DEFAULT_PLACE = 'localhost:6379 db 0';

/** How long the process has to end, before its connection is closed for it. */
const CLOSING_MS = 100;

const CONNECTION_FLAGS = ['redis-url', 'redis-url-file', 'tls-ca', 'tls-cert', 'tls-key', 'tls-server-name'] as const;

/**
 * What all commands share: parses once, connects late, prints the result of `run()` under `--json`, turns every failure
 * into a message and an exit code, and closes the connection.
 */
export abstract class BaseCommand<T extends typeof Command> extends Command {
  static override baseFlags = globalFlags;

  /** True for a command that connects to no server and reads no connection settings. */
  protected readonly isOffline: boolean = false;
  protected args!: ArgsOf<T>;
  protected flags!: FlagsOf<T>;
  private connection!: Connection;
  /** The names of the flags that were typed, not set by a variable. */
  protected typed: ReadonlySet<string> = new Set();
  private redis: Redis | undefined;
  /**
   * Shown after the command has succeeded: an error has to stand alone, and under --json stderr then holds one
   * document.
   */
  private connectionWarnings: readonly string[] = [];
  private readonly doubts = new Set<string>();
  /** True when the output reports a change, and is told on stderr where it cannot be written. */
  protected isChange = false;
  /** Decides whether something may be changed. */
  protected guard!: Guard;
  /** True to read the name of a protected store when connecting. */
  private isStoreAsked = false;

  override async init(): Promise<void> {
    const {args, flags, strict} = this.ctor;
    const definitions = {...globalFlags, ...flags};
    refuseOddFlags(this.argv, definitions);
    await super.init();
    const parsed = await this.parse({args, flags: definitions, strict});
    this.args = parsed.args as ArgsOf<T>;
    // oclif leaves a missing boolean flag undefined, although its types say false.
    const switches = Object.entries(definitions).filter(([, {type}]) => type === 'boolean');
    this.flags = {...Object.fromEntries(switches.map(([name]) => [name, false])), ...parsed.flags} as FlagsOf<T>;
    this.typed = new Set(parsed.raw.flatMap((token) => (token.type === 'flag' ? [token.flag] : [])));
    if (!this.isOffline) {
      this.connection = await readConnection(this.flags, this.typed);
      this.guard = new Guard(this.connection.context, this.flags.confirm);
    }
    const {json, format = 'json'} = this.flags as {json: boolean; format?: string};
    if (json && format !== 'json') {
      throw new TokengateError('INVALID_USAGE', `--json and --format ${format} contradict each other.`);
    }
  }

  /** Connects for reading. */
  protected async connect(signal?: AbortSignal): Promise<Redis> {
    const {warnings, context, ...options} = this.connection;
    this.keepDoubts();
    const ofStore = {storeKey: this.isStoreAsked ? STORE_KEY : undefined, consent: this.guard.consent};
    this.redis = await connect({...options, ...ofStore, name: context?.name, homeKey: JOURNAL_KEY, signal});
    const {role, address} = this.redis.server;
    const isStale = role === 'replica';
    this.connectionWarnings = [
      ...warnings,
      ...(isStale ? [`Redis at ${address} is a replica: what it says may be out of date.`] : []),
    ];
    return this.redis;
  }

  /** Called for each connection: a command may connect more than once. */
  private keepDoubts(): void {
    for (const doubt of this.redis?.doubts ?? []) this.doubts.add(doubt);
    const {isLocalTime = false, address = ''} = this.redis?.server ?? {};
    if (isLocalTime) this.doubts.add(`Redis at ${address} does not tell the time: this machine's clock is used.`);
  }

  /** Lets `connect()` ask for the name of a protected store, in the first flight. */
  protected askForStore(): void {
    this.isStoreAsked = true;
  }

  /**
   * Call before anything that leads to a change, and before connecting.
   *
   * @param isDecided true for cron jobs that carry out an earlier decision: nobody is asked
   * @throws TokengateError CONTEXT_READ_ONLY
   */
  protected beginChange({isDecided = false} = {}): void {
    if (this.guard.readOnly) throw this.guard.readOnly;
    if (isDecided) this.guard.exempt();
    this.askForStore();
  }

  /**
   * Connects for a change: refuses a replica, and lets an interrupt wait until the outcome is known. If the store or
   * the context is protected, it first asks for the name.
   *
   * @param what the change, as in "Set the budget of" and the IDs
   * @throws TokengateError CONTEXT_READ_ONLY, CONFIRMATION_REQUIRED, WRONG_CONFIRMATION, DECLINED
   */
  protected async connectToChange(what: ChangeInWords | 'decided before'): Promise<Redis> {
    this.beginChange({isDecided: what === 'decided before'});
    const redis = await this.openToChange();
    if (what === 'decided before' || this.guard.nameToType(redis.server) === undefined) return redis;
    // The server would close a connection that waits for a person.
    redis.close();
    const {askAbout} = await import('../batches/questions.js');
    await this.confirm(askAbout(what.verb, {count: what.ids.length, first: what.ids}, redis.server), redis.server);
    return this.openToChange();
  }

  private async openToChange(): Promise<Redis> {
    this.isChange = true;
    const controller = new AbortController();
    onInterrupt(() => {
      controller.abort();
    });
    const redis = await this.connect(controller.signal);
    refuseReplica(redis);
    return redis;
  }

  /** The colour of the context's name. */
  protected get color(): Color | undefined {
    return this.connection.context?.color;
  }

  /** The person who changes something, for the journal. */
  protected get actor(): string {
    return actorName(this.connection.context?.actor);
  }

  /** The journal's record of a change, for a command with `journalFlags`; undefined when none is kept. */
  protected journal(reason?: string, undoes?: string): Journal | undefined {
    const flags = this.flags as {note?: string; 'no-journal': boolean};
    return makeJournal(
      {command: this.id ?? '', version: this.config.version, actor: this.actor, undoes},
      flags,
      reason,
    );
  }

  /**
   * Tells a person at a terminal on which server the changes were made, unless it is the default, and how to undo them.
   * Without a journal a change is undefined.
   */
  protected afterChange(...journals: (Journal | undefined)[]): void {
    if (journals.length === 0 || this.jsonEnabled() || !process.stderr.isTTY) return;
    const {server} = this.redis ?? {};
    const place = server === undefined ? DEFAULT_PLACE : describeServer(server);
    if (place !== DEFAULT_PLACE) process.stderr.write(`Server: ${showText(place)}\n`);
    const changes = journals.flatMap((journal) => journal?.change ?? []);
    if (changes.length === 0) return;
    const command = toCommandLine(['tokengate', 'undo-change', ...this.connectionFlags, ...changes]);
    if (command !== null) process.stderr.write(`Undo: ${command}\n`);
  }

  /**
   * Looks whether a single change lasts, and warns if it does not. Null if it is not looked at, usually because no
   * request under way can undo it.
   */
  protected async lookAgain<R>(
    redis: Redis,
    how: SecondLook<R>,
    {
      result,
      journal,
      isWanted = how.leftBy(result).length > 0,
    }: {result: R; journal?: Journal | undefined; isWanted?: boolean},
  ): Promise<SecondLookJson | null> {
    if (!isWanted) return null;
    const [{lookAtOne}, {tellSightings}] = await Promise.all([
      import('../../lib/operations/second-look.js'),
      import('../views/second-look.js'),
    ]);
    return tellSightings(await lookAtOne(redis, how, result, journal));
  }

  /**
   * Asks a question, unless a flag answers it. In a protected store or context it asks for the name.
   *
   * @throws TokengateError DECLINED, CONFIRMATION_REQUIRED, WRONG_CONFIRMATION, INTERRUPTED
   */
  protected async confirm(question: string, server: ServerInfo): Promise<void> {
    const name = this.guard.nameToType(server);
    if (!this.mustAsk(server)) return;
    if (name !== undefined) {
      this.guard.agree(await askForName(question, name), name);
      return;
    }
    this.refuseWithoutAnswer();
    if (!(await confirm(question))) throw new TokengateError('DECLINED', 'Cancelled: nothing was changed.');
  }

  /**
   * Refuses early if a later question could not be answered, because there is no terminal.
   *
   * @throws TokengateError CONFIRMATION_REQUIRED
   */
  protected refuseWithoutAnswer(): void {
    if (!this.isAnswered && (this.jsonEnabled() || !canAsk())) throw confirmationRequired(this.guard.contextName);
  }

  /** True when a flag answers the questions that need no name. */
  protected get isAnswered(): boolean {
    return this.flags.yes || this.flags.confirm !== undefined;
  }

  /**
   * True when this server needs a question.
   *
   * @throws TokengateError WRONG_CONFIRMATION, CONFIRMATION_REQUIRED when there is no terminal to ask for a name
   */
  protected mustAsk(server: ServerInfo): boolean {
    const name = this.guard.nameToType(server);
    if (name !== undefined && (this.jsonEnabled() || !canAsk())) throw confirmationRequired(name);
    return name !== undefined || !this.isAnswered;
  }

  /**
   * Reports that the command has found what it looks for, such as damage or a refusal: exit code 2, unless it fails.
   */
  protected endWithFinding(): void {
    endWith(EXIT.found);
  }

  /**
   * The flags with which a copied command reaches the same server, apart from the environment variables. A context is
   * always named, since the next shell may have another one. A password is left for the reader to fill in.
   */
  protected get connectionFlags(): string[] {
    const flags = this.flags as Record<string, unknown>;
    const typed = CONNECTION_FLAGS.filter((name) => this.typed.has(name)).flatMap((name) => [
      `--${name}`,
      String(flags[name])
        .replace(/\/\/.*@/s, '//USER:PASSWORD@')
        .replace(/(password=)[^&]*/g, '$1PASSWORD'),
    ]);
    const {context} = this.connection;
    return context === undefined ? typed : ['--context', context.name, ...typed];
  }

  /** The variables with which a program started by this one reaches the same server. */
  protected get serverVariables(): Record<string, string | undefined> {
    const {context, url} = this.connection;
    const none = {TOKENGATE_CONTEXT: undefined, TOKENGATE_REDIS_URL: undefined, TOKENGATE_REDIS_URL_FILE: undefined};
    return {...none, ...(context === undefined ? {TOKENGATE_REDIS_URL: url} : {TOKENGATE_CONTEXT: context.name})};
  }

  /** For commands that are shown for copying. */
  protected sameServer({server}: Redis): SameServer {
    return {flags: this.connectionFlags, redisCli: redisCliOptions(this.connection, server)};
  }

  /** True when stdout is a terminal. */
  protected get isTerminal(): boolean {
    return process.stdout.isTTY;
  }

  /**
   * Prints lines for people; prints nothing under `--json`. Lines may hold untrusted text. Commands to copy are
   * indented.
   */
  protected print(...lines: string[]): void {
    if (this.jsonEnabled()) return;
    for (const line of lines) {
      // A truncated command would name another session.
      const text = line.startsWith('  ') ? showText(line) : showMessage(line, roomOf(process.stdout));
      if (this.isChange) keepAnswer(text);
      const style = MARKS[text.charAt(0)];
      const painted = style === undefined ? text : paint(style, text.charAt(0), process.stdout) + text.slice(1);
      process.stdout.write(`${painted}\n`);
    }
  }

  /** An ID or a reason for a printed line without quotes: safe and truncated. */
  protected cut(text: string): string {
    return showCut(text, roomOf(process.stdout));
  }

  /** Writes text unchanged to stdout: it must be safe already. */
  protected async write(pieces: Iterable<string> | AsyncIterable<string>): Promise<void> {
    await writeOutput(pieces);
    await drainOutput();
  }

  /** Like `write`, but through a pager when the terminal has too few lines; for commands with `pagerFlag`. */
  protected async writeList(pieces: Iterable<string> | AsyncIterable<string>): Promise<void> {
    const {'no-pager': isWhole} = this.flags as {'no-pager': boolean};
    if (!this.isTerminal || isWhole) {
      await this.write(pieces);
      return;
    }
    const {writePaged} = await import('../terminal/pager.js');
    await writePaged(pieces);
    await drainOutput();
  }

  /** Warns on stderr, under `--json` too. Warnings may hold untrusted text. */
  protected warnAll(messages: readonly string[]): void {
    for (const message of messages.slice(0, MAX_WARNINGS)) reportWarning(message);
    const more = messages.length - MAX_WARNINGS;
    if (more > 0) reportWarning(`${more} more of this kind.`);
  }

  override jsonEnabled(): boolean {
    return wantsJson(this.argv);
  }

  protected override logJson(value: unknown): void {
    if (this.isChange) keepAnswer(stringifyJson(value));
    process.stdout.write(`${stringifyJson(value, '  ')}\n`);
  }

  /** Warns that a session is unknown, and names the one that was probably meant. */
  protected async warnUnknown(redis: Redis, id: RawId, what: string, otherwise = ' Is the ID right?'): Promise<void> {
    const nearest = await guessId(redis, id);
    this.warnAll([`${what}${nearest === undefined ? otherwise : ` ${nearest}`}`]);
  }

  /** Call it when nothing was found: a glob that matches no session may be a slip. */
  protected async adviseGlob(): Promise<void> {
    const {match} = this.flags as {match?: string};
    if (match === undefined || this.redis === undefined) return;
    const {adviseOn} = await import('../copyable/glob-advice.js');
    const advice = await adviseOn(this.redis, match);
    if (advice !== undefined) this.warnAll([advice]);
  }

  protected override async catch(error: unknown): Promise<void> {
    const explained = this.nameServer(this.explainWords(await this.explainUnknown(error)));
    reportError(explained, {json: this.jsonEnabled(), command: this.id});
  }

  /** Lets the commands of the hint reach the same server. Those of the context file need none. */
  private nameServer(error: unknown): unknown {
    const flags = this.redis === undefined ? null : toCommandLine(this.connectionFlags);
    if (!(error instanceof TokengateError) || error.hint === undefined || !flags) return error;
    const {code, message} = error;
    const hint = error.hint.replace(
      /\btokengate (?!\w+-contexts?\b)[a-z]+-[a-z]+/g,
      (command) => `${command} ${flags}`,
    );
    return new TokengateError(code, message, {hint, cause: error});
  }

  /** Adds to the error about an unknown session which one was probably meant. */
  private async explainUnknown(error: unknown): Promise<unknown> {
    const {session_id: id} = (this.args as {session_id?: RawId | RawId[]} | undefined) ?? {};
    const isUnknown = error instanceof TokengateError && error.code === 'SESSION_NOT_FOUND';
    const [only, ...others] = [id ?? []].flat();
    if (!isUnknown || only === undefined || others.length > 0 || this.redis === undefined) return error;
    const nearest = await guessId(this.redis, only);
    if (nearest === undefined) return error;
    const {code, message, hint} = error;
    return new TokengateError(code, message, {hint: [nearest, hint].join(' '), cause: error});
  }

  /** Adds to the error about an invalid amount that it looks like part of an ID without quotes. */
  private explainWords(error: unknown): unknown {
    if (!(error instanceof TokengateError) || error.code !== 'INVALID_AMOUNT') return error;
    const end = this.argv.findIndex((word) => word.startsWith('-'));
    const hint = quotingHint(end === -1 ? this.argv : this.argv.slice(0, end), Object.keys(this.ctor.args));
    if (hint === undefined) return error;
    return new TokengateError(error.code, error.message, {hint: hint.trim(), cause: error});
  }

  protected override async finally(error: Error | undefined): Promise<void> {
    this.closeLater();
    this.keepDoubts();
    if (error === undefined) this.warnAll([...this.connectionWarnings, ...this.doubts]);
    await super.finally(error);
  }

  /** The end of the process closes the connection too, and takes less time than Node.js does. */
  private closeLater(): void {
    const {redis} = this;
    if (redis === undefined) return;
    setTimeout(() => {
      redis.close();
    }, CLOSING_MS);
  }
}

/** Loaded only here: most sessions are known. */
async function guessId(redis: Redis, id: RawId): Promise<string | undefined> {
  const {describeGuesses, guessIds} = await import('../../lib/sessions/unknown-ids.js');
  const guess = (await guessIds(redis, [id])).get(id);
  return guess && describeGuesses([guess]);
}

/**
 * oclif accepts `--yes=false` as yes with "false" as an argument, names no flag when it refuses `-y=false`, and takes
 * the names of Object.prototype's properties for flags. This refuses them all.
 */
function refuseOddFlags(
  argv: readonly string[],
  definitions: Record<string, {type: string; char?: string | undefined}>,
): void {
  for (const word of argv) {
    if (word === '--') return;
    const char = /^-([A-Za-z])=/.exec(word)?.[1];
    if (
      char !== undefined &&
      Object.values(definitions).some((flag) => flag.char === char && flag.type === 'boolean')
    ) {
      throw new Errors.CLIError(`Flag -${char} takes no value`);
    }
    const [, name = '', equals] = /^--([^=]+)(=)?/s.exec(word) ?? [];
    if (Object.hasOwn(definitions, name)) {
      if (equals !== undefined && definitions[name]?.type === 'boolean') {
        throw new Errors.CLIError(`Flag --${name} takes no value`);
      }
    } else if (name in Object.prototype) {
      throw new Errors.CLIError(`Unknown flag '--${name}'`);
    }
  }
}
