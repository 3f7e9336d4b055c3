import type {Session} from '../../lib/gateway/session.js';
import type {Redis} from '../../lib/redis/contract.js';
import {TokengateError} from '../../lib/values/errors.js';
import type {RawId} from '../../lib/values/session-id.js';
import type {Feed} from '../../lib/watch/poller.js';
import type {Wanted} from '../../lib/watch/reader.js';
import {
  sortWatched,
  summarize,
  type Summary,
  WATCH_FIELDS,
  type Watched,
  type WatchField,
} from '../../lib/watch/row.js';
import {showText} from '../terminal/escape.js';
import {widthOf} from '../terminal/width.js';
import {act, type Action, ACTIONS, type MakeJournal} from './actions.js';
import {fitLine, type Line, type Look, type Piece, untrusted} from './cells.js';
import {headLine, type Layout, layOut, rowLine} from './columns.js';
import {parseWanted} from './filter.js';
import {detailLines, headLines, keyLine} from './frame.js';

export interface UiOptions {
  feed: Feed;
  /** Seconds from one reading to the next. */
  interval: number;
  sort: WatchField;
  reverse: boolean;
  /** How the feed itself is limited, in words. */
  limits: readonly string[];
  journal: MakeJournal;
  /** Says all about why the gateway lets a session through or not; may hold untrusted text. */
  explain: (redis: Redis, id: RawId) => Promise<string[]>;
}

/** What fills the screen. */
interface Frame {
  lines: Line[];
  /** Stands in a box below them. */
  panel: Panel | undefined;
  /** The last line. */
  keys: Line;
}

interface Panel {
  lines: Line[];
  colour: 'cyan' | 'yellow' | 'red';
}

/** A key as the terminal library names it; a character, or several at once, has no name. */
export type KeyName = 'up' | 'down' | 'pageUp' | 'pageDown' | 'home' | 'end' | 'enter' | 'escape' | 'erase' | 'clear';

export interface Ui {
  /** Calls the listener when there is another frame. */
  subscribe: (listener: () => void) => () => void;
  frame: (columns: number, rows: number) => Frame;
  press: (key: KeyName) => void;
  type: (text: string) => void;
  /** Lets a change that is under way come to its end. */
  leave: () => void;
  /** Resolves when it is left, with what is still to be said. */
  readonly left: Promise<Message[]>;
  close: () => void;
}

export interface Message {
  text: string;
  level: 'done' | 'warning' | 'error';
}

type Mode =
  | {kind: 'table'}
  | {kind: 'help'}
  | {kind: 'text'; title: string; lines: string[]; top: number}
  | {kind: 'filter'; typed: string; problem: string}
  | {kind: 'field'; action: Action; session: Session; answers: string[]; typed: string; problem: string}
  | {kind: 'confirm'; action: Action; session: Session; answers: string[]; isAsked: boolean};

const TABLE_KEYS = [
  ...ACTIONS.map(({key, verb}) => [key, verb.replace('add budget', 'add')] as const),
  ['e', 'explain'],
  ['/', 'filter'],
  ['s', 'sort'],
  ['?', 'help'],
  ['q', 'quit'],
] as const;

const HELP: readonly (readonly [keys: string, what: string])[] = [
  ['↑ ↓ j k', 'select a session; the selection stays on it when rows move'],
  ['PgUp PgDn', 'move by a screen'],
  ['Home g, End G', 'go to the first, to the last'],
  ['f', 'freeze, for a time and a reason that are asked for'],
  ['u', 'unfreeze, and clear the counters that would freeze it again'],
  ['+', 'add to the budget'],
  ['r', 'reset: remove budget and spending, or spending alone'],
  ['e', "explain what the gateway would do with the session's next request"],
  ['/', 'filter: part of an ID, a glob, or an expression as for --where'],
  ['Esc', 'clear the filter; leave a question or a page'],
  ['s S', 'sort by the next column, by the one before'],
  ['i', 'invert the order'],
  ['Space', 'read now'],
  ['Ctrl-L', 'draw the screen again'],
  ['q Ctrl-C', 'quit'],
];

/** A message goes away after so many milliseconds. */
const MESSAGE_MS = 20_000;
const PANEL_BORDER = 2;
/** What a panel leaves of the screen at least: its border and title, and the lines above and below it. */
const PANEL_REST = 7;
const FILTER_HINT = 'Part of an ID, a glob such as team:*, or an expression such as used > 90 && !frozen';
/** The lines below the table: a rule, and three. */
const FOOT = 4;
/** With fewer rows than this there is no foot, and with fewer than that one line of head. */
const MIN_TALL = 14;
const MIN_HEAD = 8;
/** The smallest screen that shows anything. */
const MIN = {columns: 20, rows: 4};

/** What is on the screen, and what the keys do: everything but the terminal itself. */
export function openUi({feed, interval, limits, journal, explain, ...options}: UiOptions): Ui {
  const listeners = new Set<() => void>();
  let mode: Mode = {kind: 'table'};
  let {sort, reverse} = options;
  let filter = {typed: '', wanted: {} as Wanted};
  /** Undefined while it is the first row, whichever that is. */
  let selected: RawId | undefined;
  let top = 0;
  let page = 1;
  let layout: Layout | undefined;
  let messages: Message[] = [];
  let messagesUntil = 0;
  let busy: {what: string; done: Promise<void>} | undefined;
  let rows: Watched[] = [];
  let summary: Summary = summarize([]);
  let total = 0;
  let now = new Date(0);
  let resolveLeft!: (messages: Message[]) => void;
  let rejectLeft!: (error: unknown) => void;
  const left = new Promise<Message[]>((resolve, reject) => {
    [resolveLeft, rejectLeft] = [resolve, reject];
  });

  const changed = (): void => {
    for (const listener of listeners) listener();
  };
  const say = (...said: Message[]): void => {
    messages = said;
    messagesUntil = performance.now() + MESSAGE_MS;
  };
  const sayError = (error: unknown): void => {
    if (!(error instanceof TokengateError)) {
      rejectLeft(error);
      return;
    }
    const hint = error.hint === undefined ? '' : ` ${error.hint}`;
    say({text: `${error.message}${hint}`, level: 'error'});
  };
  /** Takes in a reading, or another filter or order. */
  const update = (): void => {
    const index = selectedIndex();
    const reading = feed.reading(filter.wanted);
    now = reading.at;
    rows = sortWatched(reading.sessions, sort, reverse);
    summary = summarize(rows);
    total = filter.typed === '' ? rows.length : feed.reading().sessions.length;
    // When the selected session is gone, the one that has taken its place is selected.
    if (selected !== undefined && !rows.some(({id}) => id === selected))
      selected = rows[Math.min(index, rows.length - 1)]?.id;
  };
  const selectedIndex = (): number => {
    if (selected === undefined) return 0;
    return Math.max(
      0,
      rows.findIndex(({id}) => id === selected),
    );
  };
  const move = (to: number): void => {
    const index = Math.max(0, Math.min(rows.length - 1, to));
    selected = index === 0 ? undefined : rows[index]?.id;
  };
  /** Keeps the selected row on the screen. */
  const visibleRows = (): Watched[] => {
    const index = selectedIndex();
    top = Math.max(0, Math.min(top, index, rows.length - page));
    if (index >= top + page) top = index - page + 1;
    return rows.slice(top, top + page);
  };

  const begin = (action: Action, session: Session): void => {
    if (busy !== undefined) {
      say({text: `Wait: ${busy.what}.`, level: 'warning'});
      return;
    }
    messages = [];
    nextQuestion(action, session, []);
  };
  const nextQuestion = (action: Action, session: Session, answers: string[]): void => {
    const field = action.fields[answers.length];
    if (field !== undefined) {
      mode = {kind: 'field', action, session, answers, typed: field.initial, problem: ''};
      return;
    }
    const question = {kind: 'confirm' as const, action, session, answers, isAsked: false};
    mode = question;
    setImmediate(() => {
      question.isAsked = true;
    });
  };
  /** Runs something of which the outcome is said, while the screen goes on. */
  const start = (what: string, run: () => Promise<void>): void => {
    const done = run()
      .catch(sayError)
      .finally(() => {
        busy = undefined;
        changed();
      });
    busy = {what, done};
  };
  const confirmed = ({action, session, answers}: Mode & {kind: 'confirm'}, key: string): void => {
    mode = {kind: 'table'};
    say({text: `To ${action.verb} '${session.id}' …`, level: 'done'});
    start(`the answer to ${action.verb} '${session.id}' is not there yet`, async () => {
      const {text, warnings} = await act(action, {
        redis: feed.connection(),
        session,
        answers,
        confirmation: key,
        journal,
      });
      say({text, level: 'done'}, ...warnings.map((warning): Message => ({text: warning, level: 'warning'})));
      feed.hurry();
    });
  };
  const explained = ({id, session}: Watched): void => {
    if (busy !== undefined) return;
    start(`explaining '${session.id}'`, async () => {
      const lines = await explain(feed.connection(), id);
      mode = {kind: 'text', title: 'What the gateway would do with the next request', lines, top: 0};
    });
  };
  const enter = (): void => {
    if (mode.kind === 'confirm') {
      cancel();
    } else if (mode.kind === 'filter') {
      const typed = mode.typed.trim();
      attempt(mode, () => {
        filter = {typed, wanted: parseWanted(typed)};
        mode = {kind: 'table'};
        top = 0;
        update();
      });
    } else if (mode.kind === 'field') {
      const {action, session, answers} = mode;
      const typed = mode.typed.trim();
      attempt(mode, () => {
        action.fields[answers.length]?.check(typed);
        nextQuestion(action, session, [...answers, typed]);
      });
    }
  };
  /** What was typed stays, with what is wrong with it. */
  const attempt = (typing: Extract<Mode, {problem: string}>, run: () => void): void => {
    try {
      run();
    } catch (error) {
      if (!(error instanceof TokengateError)) throw error;
      mode = {...typing, problem: error.hint === undefined ? error.message : `${error.message} ${error.hint}`};
    }
  };
  const cancel = (): void => {
    if (mode.kind === 'field' || mode.kind === 'confirm')
      say({text: 'Cancelled: nothing was changed.', level: 'warning'});
    mode = {kind: 'table'};
  };
  const turn = (step: number): void => {
    sort = WATCH_FIELDS[(WATCH_FIELDS.indexOf(sort) + step + WATCH_FIELDS.length) % WATCH_FIELDS.length] ?? sort;
    reverse = false;
    update();
  };
  const leave = (): void => {
    if (busy === undefined) {
      resolveLeft([]);
      return;
    }
    say({text: `Leaving when it is over: ${busy.what}.`, level: 'warning'});
    void busy.done.then(() => {
      resolveLeft(messages);
    });
  };

  const command = (character: string): void => {
    const one = rows[selectedIndex()];
    const action = ACTIONS.find(({key}) => key === character);
    if (action !== undefined) {
      if (one !== undefined) begin(action, one.session);
      return;
    }
    const commands: Record<string, () => void> = {
      j() {
        move(selectedIndex() + 1);
      },
      k() {
        move(selectedIndex() - 1);
      },
      g() {
        move(0);
      },
      G() {
        move(rows.length - 1);
      },
      e() {
        if (one !== undefined) explained(one);
      },
      '/'() {
        mode = {kind: 'filter', typed: filter.typed, problem: ''};
      },
      s() {
        turn(1);
      },
      S() {
        turn(-1);
      },
      i() {
        reverse = !reverse;
        update();
      },
      ' '() {
        feed.hurry();
      },
      '?'() {
        mode = {kind: 'help'};
      },
      q: leave,
    };
    commands[character]?.();
  };
  const navigate = (key: KeyName): void => {
    const steps: Partial<Record<KeyName, number>> = {
      up: -1,
      down: 1,
      pageUp: -page,
      pageDown: page,
      home: -Infinity,
      end: Infinity,
    };
    const step = steps[key];
    if (step === undefined) return;
    if (mode.kind === 'text') mode.top = Math.max(0, mode.top + step);
    else if (mode.kind === 'table') move(selectedIndex() + step);
  };
  const edit = (change: (typed: string) => string): void => {
    if (mode.kind === 'filter' || mode.kind === 'field') mode = {...mode, typed: change(mode.typed), problem: ''};
  };
  const escape = (): void => {
    if (mode.kind === 'table') {
      messages = [];
      filter = {typed: '', wanted: {}};
      update();
    } else {
      cancel();
    }
  };
  const typeOne = (character: string): void => {
    if (mode.kind === 'table') {
      command(character);
    } else if (mode.kind === 'confirm') {
      // What was pasted together with the key that led to the question is no answer to it.
      if (!mode.isAsked) return;
      const key = character.toLowerCase();
      if (mode.action.confirmations.some((one) => one.key === key)) confirmed(mode, key);
      else cancel();
    } else if (mode.kind === 'filter' || mode.kind === 'field') {
      // What is pasted may hold anything.
      if (showText(character) === character) edit((typed) => typed + character);
    } else if (character === 'j') {
      navigate('down');
    } else if (character === 'k') {
      navigate('up');
    } else {
      mode = {kind: 'table'};
    }
  };

  /** What is wrong, what was done, or all about the selected session. */
  const footLines = (columns: number): Line[] => {
    const looks: Record<Message['level'], Look> = {done: 'green', warning: 'yellow', error: 'red'};
    const isOver = performance.now() > messagesUntil;
    const one = rows[selectedIndex()];
    const lines =
      messages.length > 0 && !isOver
        ? messages
            .slice(0, FOOT - 1)
            .map(({text, level}) => fitLine([{text: ' '}, untrusted(text, looks[level])], columns))
        : one === undefined
          ? []
          : detailLines(one, now, columns);
    const rule = fitLine([{text: '─'.repeat(columns), look: 'dim'}], columns);
    const blank = fitLine([], columns);
    return [rule, ...lines, ...Array.from({length: FOOT - 1 - lines.length}, () => blank)];
  };
  /** Of which sessions all is shown, with what was read last. */
  const lookedAt = (): readonly RawId[] => {
    update();
    return (sort === 'requests' ? rows : visibleRows()).map(({id}) => id);
  };

  update();
  feed.lookAt(lookedAt);
  const unsubscribe = feed.subscribe(changed);
  // What is said of old data, and for how long a message is shown, goes on without a reading.
  const clock = setInterval(() => {
    if (feed.trouble !== undefined || messages.length > 0) changed();
  }, 1000);
  feed.ended.catch(rejectLeft);

  return {
    left,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    press(key) {
      if (key === 'enter') enter();
      else if (key === 'escape') escape();
      else if (key === 'erase') edit((typed) => Array.from(typed).slice(0, -1).join(''));
      else if (key === 'clear') edit(() => '');
      else navigate(key);
      changed();
    },
    type(text) {
      for (const character of text) typeOne(character);
      changed();
    },
    leave,
    close() {
      unsubscribe();
      clearInterval(clock);
    },
    frame(columns, height) {
      if (columns < MIN.columns || height < MIN.rows) {
        return {lines: [fitLine([{text: 'Too small'}], columns)], panel: undefined, keys: []};
      }
      const panel = panelOf(mode, columns, height);
      const isTall = height >= MIN_TALL;
      const head = headLines(
        {
          server: feed.server,
          now,
          interval,
          trouble: troubleOf(feed),
          summary,
          outOf: filter.typed === '' ? undefined : total,
          filters: filter.typed === '' ? limits : [...limits, `filter ${filter.typed}`],
        },
        columns,
      ).slice(0, height >= MIN_HEAD ? undefined : 1);
      const foot = isTall && panel === undefined ? footLines(columns) : [];
      // The head of the table, and the keys.
      const space =
        height - head.length - foot.length - 2 - (panel === undefined ? 0 : panel.lines.length + PANEL_BORDER);
      page = Math.max(1, space);
      const visible = visibleRows();
      const shown = layOut(visible, now, columns, layout);
      layout = shown;
      const unknown = visible.filter(({requests}) => requests === undefined);
      if (unknown.length > 0) feed.lookMore(unknown.map(({id}) => id));
      const current = selectedIndex() - top;
      const lines = [
        ...head,
        headLine(shown, sort, reverse),
        ...visible.map((one, index) => rowLine(one, now, shown, index === current)),
      ];
      if (rows.length === 0) lines.push(fitLine([{text: ' No sessions.', look: 'dim'}], columns));
      const blank = fitLine([], columns);
      while (lines.length < head.length + 1 + space) lines.push(blank);
      lines.push(...foot);
      return {lines, panel, keys: keyLine(keysOf(mode), columns)};
    },
  };
}

function troubleOf({trouble, readAt}: Feed): string {
  if (trouble === undefined) return '';
  const moment = performance.now();
  const seconds = (ms: number): number => Math.max(0, Math.round(ms / 1000));
  const retry = `Old by ${seconds(moment - readAt)} s; next try in ${seconds(trouble.retryAt - moment)} s.`;
  return `${retry} ${showText(trouble.error.message)}`;
}

function panelOf(mode: Mode, columns: number, height: number): Panel | undefined {
  const width = columns - 4;
  const text = (...pieces: Piece[]): Line => fitLine(pieces, width);
  const panel = (colour: Panel['colour'], title: string, lines: Line[]): Panel => ({
    colour,
    lines: [text({text: title, look: 'bold'}), ...lines],
  });
  const problemLines = (problem: string): Line[] =>
    wrap(showText(problem), width).map((line) => text({text: line, look: 'red'}));
  switch (mode.kind) {
    case 'table':
      return undefined;
    case 'help': {
      const lines = HELP.map(([keys, what]) => text({text: keys.padEnd(16), look: 'cyan'}, {text: what}));
      return panel('cyan', 'Keys', lines.slice(0, Math.max(1, height - PANEL_REST)));
    }
    case 'text': {
      const lines = mode.lines.flatMap((line) => wrap(showText(line), width));
      const room = Math.max(1, height - PANEL_REST);
      mode.top = Math.max(0, Math.min(mode.top, lines.length - room));
      const shown = lines.slice(mode.top, mode.top + room).map((line) => text({text: line}));
      return panel('cyan', showText(mode.title), shown);
    }
    case 'filter': {
      const {typed, problem} = mode;
      const hint = problem === '' ? [text({text: FILTER_HINT, look: 'dim'})] : problemLines(problem);
      return panel('yellow', 'Filter', [inputLine(typed, width), ...hint]);
    }
    case 'field': {
      const {action, session, answers, typed, problem} = mode;
      const label = text({text: action.fields[answers.length]?.label ?? ''});
      const lines = [label, inputLine(typed, width), ...problemLines(problem)];
      return panel('yellow', titleOf(mode.action, session), lines);
    }
    case 'confirm': {
      const {action, session, answers} = mode;
      const question = wrap(showText(action.question(session, answers)), width);
      const keys = action.confirmations.map(({key, means}) => `${key} ${means}`).join('   ');
      const lines = [
        ...question.map((line) => text({text: line})),
        text({text: `${keys}   any other key: no`, look: 'bold'}),
      ];
      return panel('red', titleOf(action, session), lines);
    }
  }
}

function titleOf({verb}: Action, {id}: Session): string {
  return showText(`${verb.charAt(0).toUpperCase()}${verb.slice(1)}: ${id}`);
}

function keysOf(mode: Mode): readonly (readonly [string, string])[] {
  switch (mode.kind) {
    case 'table':
      return TABLE_KEYS;
    case 'help':
      return [['any key', 'back']];
    case 'text':
      return [
        ['↑↓', 'scroll'],
        ['Esc', 'back'],
      ];
    case 'confirm':
      return [...mode.action.confirmations.map(({key, means}) => [key, means] as const), ['Enter Esc', 'no']];
    default:
      return [
        ['Enter', 'go on'],
        ['Ctrl-U', 'erase'],
        ['Esc', 'cancel'],
      ];
  }
}

/** Ends in a cursor; of a long text the end is shown. */
function inputLine(typed: string, width: number): Line {
  const characters = Array.from(typed);
  while (widthOf(characters.join('')) > width - 3) characters.shift();
  return fitLine([{text: '> ', look: 'bold'}, {text: characters.join('')}, {text: ' ', look: 'selected'}], width);
}

function wrap(text: string, width: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    const longer = line === '' ? word : `${line} ${word}`;
    if (widthOf(longer) <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}
