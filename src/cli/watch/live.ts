import type {Redis, ServerInfo} from '../../lib/redis/contract.js';
import {TokengateError} from '../../lib/values/errors.js';
import type {RawId} from '../../lib/values/session-id.js';
import type {Feed} from '../../lib/watch/poller.js';
import type {Guard} from '../connection/guard.js';
import {EXIT, endWith} from '../terminal/exit-code.js';
import {guardRawMode, untilForeground} from '../terminal/foreground.js';
import {onInterrupt} from '../terminal/interrupts.js';
import {hasColour} from '../text/colour.js';
import {showMessage} from '../text/escape.js';
import type {PageLine} from '../views/session-page.js';
import type {MakeJournal} from './actions/actions.js';
import type {Done} from './actions/carry-out.js';
import {prepareUndo, undo} from './actions/undo.js';
import type {Look} from './drawing/cells.js';
import {fit, render, visibleSessions} from './drawing/frame.js';
import {askUndo, press, sayError} from './reduce.js';
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

/** @throws TokengateError TERMINAL_REQUIRED without a terminal for keys and screen */
export function requireTerminal(): void {
  const {stdin, stdout, env} = process;
  const isDumb = env['TERM'] === 'dumb';
  if (stdin.isTTY && stdout.isTTY && !isDumb) return;
  const why = isDumb ? 'a terminal that can move its cursor, and TERM is dumb' : 'a terminal for stdin and stdout';
  throw new TokengateError('TERMINAL_REQUIRED', `The live view needs ${why}.`, {
    hint: 'Use --once for one frame, or --format ndjson for a line for each change.',
  });
}

/** Shows the live view until the user leaves it; returns the remaining messages. */
export async function showLive(options: LiveOptions): Promise<readonly Message[]> {
  refuseWithoutMemory();
  // A separate file of the bundle: its library takes as long to load as everything else.
  const {showScreen} = await import('./screen.js');
  await untilForeground();
  guardRawMode();
  const ui = openUi(options);
  onInterrupt(ui.leave);
  // The terminal is gone; the signal may come later.
  const hangUp = (): void => {
    endWith(EXIT.SIGHUP);
    ui.leave();
  };
  process.stdin.on('error', hangUp).on('end', hangUp);
  const hide = await showScreen({ui, palette: hasColour(process.stdout) ? 'colour' : 'mono'});
  try {
    return await ui.left;
  } finally {
    hide();
    ui.close();
  }
}

/** The screen's layout engine is WebAssembly, for which Node.js reserves addresses by the gigabyte. */
function refuseWithoutMemory(): void {
  // Its types come only with those of a browser.
  const {WebAssembly: wasm} = globalThis as unknown as {
    WebAssembly: {Memory: new (limits: {initial: number}) => unknown};
  };
  try {
    new wasm.Memory({initial: 1});
  } catch (error) {
    throw new TokengateError('NOT_ENOUGH_MEMORY', 'The live view needs more memory than a process may have here.', {
      hint: 'Raise the limit (ulimit -v), or use --once for one frame.',
      cause: error,
    });
  }
}

/** Holds the state and carries out its effects: the whole view except for the terminal. */
function openUi({feed, interval, limits, start: how, ...options}: LiveOptions): Ui {
  const listeners = new Set<() => void>();
  let state = openState(how, feed.reading());
  let work = Promise.resolve();
  let forget: NodeJS.Timeout | undefined;
  let resolveLeft!: (messages: readonly Message[]) => void;
  let rejectLeft!: (error: unknown) => void;
  const left = new Promise<readonly Message[]>((resolve, reject) => {
    [resolveLeft, rejectLeft] = [resolve, reject];
  });

  const update = (change: (state: State) => State): void => {
    const {notice} = state;
    state = change(state);
    if (state.notice !== notice) forgetLater();
    for (const listener of listeners) listener();
  };
  const forgetLater = (): void => {
    clearTimeout(forget);
    const {notice} = state;
    if (notice === undefined) return;
    forget = setTimeout(() => {
      update((now) => (now.notice === notice ? {...now, notice: undefined} : now));
    }, MESSAGE_MS);
  };
  /** Starts something that reports its outcome later, while the screen goes on. */
  const start = (what: string, run: () => Promise<void>): void => {
    update((now) => ({...now, busy: what}));
    work = run()
      .catch((error: unknown) => {
        if (error instanceof TokengateError) update((now) => sayError(now, error));
        else rejectLeft(error);
      })
      .finally(() => {
        update((now) => ({...now, busy: undefined}));
      });
  };
  const told = ({text, warnings, page}: Done): void => {
    const messages: Message[] = [
      {text, level: page === undefined ? 'done' : 'warning'},
      ...warnings.map((warning): Message => ({text: warning, level: 'warning'})),
    ];
    update((now) => showPage(say(now, ...messages), 'Not all was done', page));
    feed.hurry();
  };
  const forgetChange = (change: string): void => {
    update((now) => ({...now, changes: now.changes.filter((own) => own.change !== change)}));
  };
  const runChange = ({action, sessions, answers, confirmation}: Extract<Effect, {kind: 'change'}>): void => {
    const [{id} = {id: ''}] = sessions;
    const what = `${action.verb} ${sessions.length === 1 ? `'${id}'` : `${sessions.length} sessions`}`;
    update((now) => say(now, {text: `To ${what} …`, level: 'done'}));
    start(`the answer to ${what} is not there yet`, async () => {
      const journal = options.journal(action.reason?.(answers));
      const own: OwnChange[] = journal === undefined ? [] : [{change: journal.change, what}];
      /** Sessions that were not changed stay marked. */
      const keep = (left: readonly RawId[]): void => {
        update((now) => ({...now, changes: [...now.changes, ...own], marked: new Set(left)}));
      };
      try {
        const keys = sessions.map(({key}) => key);
        const done = await action.run({redis: feed.connection(), keys, journal}, {answers, confirmation});
        if (done.isChanged) keep(done.left);
        told(done);
      } catch (error) {
        // It may have been done; then the journal has it.
        if (error instanceof TokengateError && error.code === 'OUTCOME_UNKNOWN') keep([]);
        throw error;
      }
    });
  };
  const lookForUndo = (own: OwnChange, turn: number): void => {
    start(`looking up how to undo: ${own.what}`, async () => {
      try {
        const found = await prepareUndo(feed.connection(), own);
        update((now) => askUndo(now, found, turn));
      } catch (error) {
        if (error instanceof TokengateError && error.code === 'CHANGE_NOT_FOUND') forgetChange(own.change);
        throw error;
      }
    });
  };
  const runUndo = ({undo: prepared, confirmation}: Extract<Effect, {kind: 'undo'}>): void => {
    const {change, command} = prepared.recorded;
    start(`undoing ${command} (change ${change})`, async () => {
      const journal = options.journal(undefined, change);
      const done = await undo(feed.connection(), prepared, {merge: confirmation === 'm', journal});
      if (done.isChanged || done.warnings.length === 0) forgetChange(change);
      told(done);
    });
  };
  const lookUp = ({kind, one}: Extract<Effect, {kind: 'explain' | 'page'}>): void => {
    start(`reading all about '${one.session.id}'`, async () => {
      const lines = await (kind === 'page' ? options.describe : options.explain)(feed.connection(), one.id);
      update((now) => {
        if (kind === 'explain') return showPage(now, 'What the gateway would do with the next request', lines);
        return now.dialog === undefined ? {...now, dialog: {kind, one, lines, top: 0}} : now;
      });
    });
  };
  const leave = (): void => {
    const {busy} = state;
    if (busy === undefined) {
      resolveLeft([]);
      return;
    }
    update((now) => mention(now, `Leaving when it is over: ${busy}.`));
    void work.then(() => {
      resolveLeft(state.notice?.messages ?? []);
    });
  };
  const run = (effect: Effect, turn: number): void => {
    switch (effect.kind) {
      case 'change':
        runChange(effect);
        break;
      case 'prepareUndo':
        lookForUndo(effect.change, turn);
        break;
      case 'undo':
        runUndo(effect);
        break;
      case 'explain':
      case 'page':
        lookUp(effect);
        break;
      case 'read':
        feed.hurry();
        break;
      case 'leave':
        leave();
    }
  };

  feed.lookAt(() => {
    // The sessions on the screen after this reading, or all of them if they are sorted by requests.
    state = takeReading(state, feed.reading());
    return (state.sort === 'requests' ? sessionsOf(state.rows) : visibleSessions(state)).map(({id}) => id);
  });
  const unsubscribe = feed.subscribe(() => {
    update((now) => now);
  });
  // The age of old data is updated even without a reading.
  const clock = setInterval(() => {
    if (feed.trouble !== undefined) update((now) => now);
  }, 1000);
  feed.ended.catch(rejectLeft);

  return {
    left,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    press(key) {
      const step = press({...state, guard: describeGuard(options.guard, feed.server)}, key);
      if (step.agreed !== undefined) options.guard.agree(step.agreed, step.agreed);
      update(() => step.state);
      if (step.effect !== undefined) run(step.effect, key.turn);
    },
    leave,
    close() {
      unsubscribe();
      clearInterval(clock);
      clearTimeout(forget);
    },
    frame(columns, rows) {
      const size = {columns, rows};
      state = fit(state, size);
      const unknown = visibleSessions(state).filter(({requests}) => requests === undefined);
      if (unknown.length > 0) feed.lookMore(unknown.map(({id}) => id));
      return render(
        state,
        {server: feed.server, color: options.color, interval, limits, trouble: describeTrouble(feed)},
        size,
      );
    },
  };
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
