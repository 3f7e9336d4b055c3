import type {Redis, ServerInfo} from '../../lib/redis/contract.js';
import {TokengateError} from '../../lib/values/errors.js';
import type {RawId} from '../../lib/values/session-id.js';
import type {Feed} from '../../lib/watch/poller.js';
import type {Guard} from '../connection/guard.js';
import {showMessage} from '../text/escape.js';
import type {PageLine} from '../views/session-page.js';
import type {MakeJournal} from './actions/actions.js';
import type {Done} from './actions/carry-out.js';
import {prepareUndo, undo} from './actions/undo.js';
import type {Look} from './drawing/cells.js';
import {fit, type Frame, render, visibleSessions} from './drawing/frame.js';
import {askUndo, type Key, press, sayError} from './reduce.js';
import type {Ui} from './screen.js';
import {
  type Effect,
  mention,
  type Message,
  openState,
  type OwnChange,
  say,
  sessionsOf,
  showPage,
  type Start,
  type State,
  takeReading,
} from './state.js';

export interface LiveOptions {
  feed: Feed;
  /** Seconds from one reading to the next. */
  interval: number;
  start: Start;
  /** The limits of the feed itself, in words. */
  limits: readonly string[];
  journal: MakeJournal;
  /** The colour of the server's name. */
  color: Look | undefined;
  guard: Guard;
  /** Explains whether the gateway lets a session's next request pass; may hold untrusted text. */
  explain: (redis: Redis, id: RawId) => Promise<PageLine[]>;
  /** Describes everything about a session. */
  describe: (redis: Redis, id: RawId) => Promise<PageLine[]>;
}

/** How long a message stays, in milliseconds. */
const MESSAGE_MS = 20_000;

/** Holds the state and carries out its effects: the whole view except for the terminal. */
export class LiveView implements Ui {
  readonly left: Promise<readonly Message[]>;
  private state: State;
  private readonly listeners = new Set<() => void>();
  /** What is under way; settles when it is over. */
  private work = Promise.resolve();
  private forget: NodeJS.Timeout | undefined;
  private readonly clock: NodeJS.Timeout;
  private readonly unsubscribe: () => void;
  private resolveLeft!: (messages: readonly Message[]) => void;
  private rejectLeft!: (error: unknown) => void;

  constructor(private readonly options: LiveOptions) {
    const {feed, start} = options;
    this.state = openState(start, feed.reading());
    this.left = new Promise<readonly Message[]>((resolve, reject) => {
      [this.resolveLeft, this.rejectLeft] = [resolve, reject];
    });
    feed.lookAt(() => this.idsToLookAt());
    this.unsubscribe = feed.subscribe(() => {
      this.redraw();
    });
    // The age of old data is updated even without a reading.
    this.clock = setInterval(() => {
      if (feed.trouble !== undefined) this.redraw();
    }, 1000);
    feed.ended.catch(this.rejectLeft);
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  press(key: Key): void {
    const {guard, feed} = this.options;
    const step = press({...this.state, guard: describeGuard(guard, feed.server)}, key);
    if (step.agreed !== undefined) guard.agree(step.agreed, step.agreed);
    this.update(() => step.state);
    if (step.effect !== undefined) this.carryOut(step.effect, key.turn);
  }

  readonly leave = (): void => {
    const {busy} = this.state;
    if (busy === undefined) {
      this.resolveLeft([]);
      return;
    }
    this.update((now) => mention(now, `Leaving when it is over: ${busy}.`));
    void this.work.then(() => {
      this.resolveLeft(this.state.notice?.messages ?? []);
    });
  };

  close(): void {
    this.unsubscribe();
    clearInterval(this.clock);
    clearTimeout(this.forget);
  }

  frame(columns: number, rows: number): Frame {
    const {feed, color, interval, limits} = this.options;
    const size = {columns, rows};
    this.state = fit(this.state, size);
    const unknown = visibleSessions(this.state).filter(({requests}) => requests === undefined);
    if (unknown.length > 0) feed.lookMore(unknown.map(({id}) => id));
    return render(this.state, {server: feed.server, color, interval, limits, trouble: describeTrouble(feed)}, size);
  }

  /** The sessions on the screen after this reading, or all of them if they are sorted by requests. */
  private idsToLookAt(): RawId[] {
    const state = (this.state = takeReading(this.state, this.options.feed.reading()));
    return (state.sort === 'requests' ? sessionsOf(state.rows) : visibleSessions(state)).map(({id}) => id);
  }

  private update(change: (state: State) => State): void {
    const {notice} = this.state;
    this.state = change(this.state);
    if (this.state.notice !== notice) this.forgetLater();
    this.redraw();
  }

  private redraw(): void {
    for (const listener of this.listeners) listener();
  }

  private forgetLater(): void {
    clearTimeout(this.forget);
    const {notice} = this.state;
    if (notice === undefined) return;
    this.forget = setTimeout(() => {
      this.update((now) => (now.notice === notice ? {...now, notice: undefined} : now));
    }, MESSAGE_MS);
  }

  private carryOut(effect: Effect, turn: number): void {
    switch (effect.kind) {
      case 'change':
        this.change(effect);
        break;
      case 'prepareUndo':
        this.prepareUndo(effect.change, turn);
        break;
      case 'undo':
        this.undo(effect);
        break;
      case 'explain':
      case 'page':
        this.lookUp(effect);
        break;
      case 'read':
        this.options.feed.hurry();
        break;
      case 'leave':
        this.leave();
    }
  }

  /** Starts something that reports its outcome later, while the screen goes on. */
  private start(what: string, run: (redis: Redis) => Promise<void>): void {
    this.update((now) => ({...now, busy: what}));
    const runConnected = async (): Promise<void> => run(this.options.feed.connection());
    this.work = runConnected()
      .catch((error: unknown) => {
        if (error instanceof TokengateError) this.update((now) => sayError(now, error));
        else this.rejectLeft(error);
      })
      .finally(() => {
        this.update((now) => ({...now, busy: undefined}));
      });
  }

  private change({action, sessions, answers, confirmation}: Extract<Effect, {kind: 'change'}>): void {
    const [{id} = {id: ''}] = sessions;
    const what = `${action.verb} ${sessions.length === 1 ? `'${id}'` : `${sessions.length} sessions`}`;
    this.update((now) => say(now, {text: `To ${what} …`, level: 'done'}));
    this.start(`the answer to ${what} is not there yet`, async (redis) => {
      const journal = this.options.journal(action.reason?.(answers));
      const own: OwnChange[] = journal === undefined ? [] : [{change: journal.change, what}];
      try {
        const keys = sessions.map(({key}) => key);
        const done = await action.run({redis, keys, journal}, {answers, confirmation});
        if (done.isChanged) this.keep(own, done.left);
        this.report(done);
      } catch (error) {
        // It may have been done; then the journal has it.
        if (error instanceof TokengateError && error.code === 'OUTCOME_UNKNOWN') this.keep(own, []);
        throw error;
      }
    });
  }

  /** @param left the sessions that were not changed, which stay marked */
  private keep(own: readonly OwnChange[], left: readonly RawId[]): void {
    this.update((now) => ({...now, changes: [...now.changes, ...own], marked: new Set(left)}));
  }

  private drop(change: string): void {
    this.update((now) => ({...now, changes: now.changes.filter((own) => own.change !== change)}));
  }

  private prepareUndo(own: OwnChange, turn: number): void {
    this.start(`looking up how to undo: ${own.what}`, async (redis) => {
      try {
        const found = await prepareUndo(redis, own);
        this.update((now) => askUndo(now, found, turn));
      } catch (error) {
        if (error instanceof TokengateError && error.code === 'CHANGE_NOT_FOUND') this.drop(own.change);
        throw error;
      }
    });
  }

  private undo({undo: prepared, confirmation}: Extract<Effect, {kind: 'undo'}>): void {
    const {change, command} = prepared.recorded;
    this.start(`undoing ${command} (change ${change})`, async (redis) => {
      const journal = this.options.journal(undefined, change);
      const done = await undo(redis, prepared, {merge: confirmation === 'm', journal});
      if (done.isChanged || done.warnings.length === 0) this.drop(change);
      this.report(done);
    });
  }

  private report({text, warnings, page}: Done): void {
    const messages: Message[] = [
      {text, level: page === undefined ? 'done' : 'warning'},
      ...warnings.map((warning): Message => ({text: warning, level: 'warning'})),
    ];
    this.update((now) => showPage(say(now, ...messages), 'Not all was done', page));
    this.options.feed.hurry();
  }

  private lookUp({kind, one}: Extract<Effect, {kind: 'explain' | 'page'}>): void {
    this.start(`reading all about '${one.session.id}'`, async (redis) => {
      const lines = await (kind === 'page' ? this.options.describe : this.options.explain)(redis, one.id);
      this.update((now) => {
        if (kind === 'explain') return showPage(now, 'What the gateway would do with the next request', lines);
        return now.dialog === undefined ? {...now, dialog: {kind, one, lines, top: 0}} : now;
      });
    });
  }
}

function describeGuard(guard: Guard, server: ServerInfo): State['guard'] {
  const {readOnly} = guard;
  if (readOnly !== undefined) return {readOnly: readOnly.message};
  const name = guard.nameToType(server);
  return name === undefined ? undefined : {name};
}

function describeTrouble({trouble, readAt}: Feed): string {
  if (trouble === undefined) return '';
  const moment = performance.now();
  const seconds = (ms: number): number => Math.max(0, Math.round(ms / 1000));
  const retry = `Old by ${seconds(moment - readAt)} s; next try in ${seconds(trouble.retryAt - moment)} s.`;
  return `${retry} ${showMessage(trouble.error.message)}`;
}
