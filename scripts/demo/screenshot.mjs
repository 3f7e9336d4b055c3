// Draws docs/watch-sessions.svg, the live view, and docs/incident.svg, an animated incident: runs the built CLI in a
// terminal, on a Redis of its own in which sessions spend. `node scripts/demo/screenshot.mjs` needs redis-server and
// script.
import {spawn} from 'node:child_process';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {clearInterval, setInterval} from 'node:timers';
import {setTimeout as wait} from 'node:timers/promises';

import xterm from '@xterm/headless';
import {createClient} from 'redis';

import {ROOT} from '../setup.mjs';

/** The budget, the spending, and the rate of spending a minute. */
const SESSIONS = {
  'batch-summarizer': [75, 8.4, 0],
  'code-review/main': [120, 31.2, 0.42],
  'customer-support-bot': [250, 201.5, 0.9],
  'data-pipeline:hourly': [15, 14.7, 0.03],
  'dev-team': [50, 47.1, 0.11],
  'intern-sandbox': [2, 2, 0],
  'legal-review': [80, 15, 0.01],
  'marketing-copy': [20, 3.1, 0],
  'my-workflow': [25.5, 12.3456, 0.05],
  'research:llm-eval:run-42': [500, 344.02, 2.4],
  'slack-assistant': [30, 29.1, 0.008],
  staging: [100, 0, 0],
  'team:alpha:nightly': [10, 0.02643665, 0.004],
  'translation-service': [60, 22.75, 0.07],
  データ分析: [40, 12, 0.02],
};
const FREEZES = {
  'marketing-copy': ['Manual freeze: invoice dispute', 3120],
  'batch-summarizer': ['Loop detected: 3 identical requests', 271],
};
const [TEXT, BACK] = ['#d7dae6', '#1d1f28'];
/** The sixteen colours of a terminal. */
const PALETTE = [
  ...['#1d1f28', '#ff6b68', '#5fd38a', '#f2c55c', '#6fa8ff', '#c792ea', '#4ec9d4', '#c5c8d4'],
  ...['#7d8296', '#ff8f8c', '#86e3a8', '#ffd884', '#94c0ff', '#d9b2f5', '#80dfe7', '#ffffff'],
];
/** In pixels: a cell, the margin and the title bar. */
const [CELL_WIDTH, CELL_HEIGHT, MARGIN, BAR] = [8.4, 18, 12, 30];
/** How long to watch: until every rate is known. */
const WATCHED_MS = 8000;
const SPENT_EVERY_MS = 250;

/** The typed keys of an incident, their purpose, and how many seconds the screen then shows. */
const INCIDENT = [
  {keys: '', does: 'tokengate watch: what burns is on top', seconds: 3},
  {keys: 'e', does: 'e explains what its next request gets', seconds: 3},
  {keys: '\x1b', does: 'f freezes it', seconds: 0.5},
  {keys: 'f', does: 'f freezes it', seconds: 1},
  {keys: '2h', does: 'for how long', seconds: 1.5},
  {keys: '\r', does: 'and why', seconds: 0.5},
  {keys: 'runaway loop', does: 'and why', seconds: 1.5},
  {keys: '\r', does: 'it asks, with the session in sight', seconds: 2},
  {keys: 'y', does: 'it holds', seconds: 3},
  {keys: 'z', does: 'z undoes it', seconds: 2.5},
  {keys: 'y', does: 'as if nothing had been', seconds: 3},
];

/** The pictures show it. */
const PORT = '6380';
const folder = mkdtempSync(join(tmpdir(), 'tokengate-screenshot-'));
const server = spawn('redis-server', ['--port', PORT, '--bind', '127.0.0.1', '--save', '', '--dir', folder]);
try {
  await new Promise((resolve) => server.stdout.on('data', (text) => /ready to accept/i.test(text) && resolve()));
  const client = createClient({url: `redis://127.0.0.1:${PORT}`});
  await client.connect();
  await load(client);
  const [still] = await watch(client, {columns: 156, rows: 26}, [{keys: '', seconds: 0}]);
  writeFileSync(join(ROOT, 'docs/watch-sessions.svg'), drawStill(still));
  const frames = await watch(client, {columns: 100, rows: 22}, INCIDENT);
  writeFileSync(join(ROOT, 'docs/incident.svg'), drawMoving(frames));
  client.destroy();
} finally {
  server.kill();
  rmSync(folder, {recursive: true, force: true});
}

async function load(client) {
  for (const [id, [budget, spent]] of Object.entries(SESSIONS)) {
    await client.set(`session:${id}:budget`, String(budget));
    if (spent > 0) await client.set(`session:${id}:spent`, String(spent));
  }
  for (const [id, [reason, seconds]] of Object.entries(FREEZES)) {
    const until = new Date(Date.now() + seconds * 1000).toISOString().slice(0, -1);
    await client.set(`anomaly:${id}:frozen_until`, until, {EX: seconds});
    await client.set(`anomaly:${id}:freeze_reason`, reason, {EX: seconds});
  }
}

/** The screen after each of the steps, while the sessions spend. */
async function watch(client, size, steps) {
  const {columns, rows} = size;
  const terminal = new xterm.Terminal({cols: columns, rows, allowProposedApi: true});
  const url = `redis://localhost:${PORT}`;
  const command = `stty cols ${columns} rows ${rows}; exec '${process.execPath}' '${ROOT}bin/run.js' watch-sessions`;
  const env = {...process.env, TOKENGATE_REDIS_URL: url, TERM: 'xterm-256color'};
  const child = spawn('script', ['-qec', command, '/dev/null'], {env, stdio: 'pipe'});
  child.stdout.on('data', (bytes) => terminal.write(bytes));
  const spending = setInterval(() => void spend(client), SPENT_EVERY_MS);
  await wait(WATCHED_MS);
  const frames = [];
  for (const step of steps) {
    for (const key of step.keys.match(/[\x20-\x7e]|[^]/g) ?? []) {
      child.stdin.write(key);
      await wait(100);
    }
    await wait(1200);
    frames.push({...step, size, screen: readCells(terminal, size)});
  }
  clearInterval(spending);
  child.stdin.write('\x03');
  await new Promise((resolve) => child.once('close', resolve));
  return frames;
}

async function spend(client) {
  for (const [id, [, , rate]] of Object.entries(SESSIONS)) {
    if (rate === 0 || (await client.exists(`anomaly:${id}:frozen_until`))) continue;
    await client.incrByFloat(`session:${id}:spent`, Number(((rate / 240) * (0.8 + Math.random() / 2)).toFixed(6)));
    if (Math.random() < rate / 2) await client.incr(`anomaly:${id}:requests:1min`);
  }
}

/** Rows of consecutive cells that look the same. */
function readCells(terminal, {columns, rows}) {
  const {active} = terminal.buffer;
  return Array.from({length: rows}, (_, y) => {
    const runs = [];
    const line = active.getLine(active.baseY + y);
    for (let x = 0; x < columns; x++) {
      const cell = line.getCell(x);
      const width = cell.getWidth();
      if (width === 0) continue;
      const look = {fg: cell.isFgDefault() ? -1 : cell.getFgColor(), bg: cell.isBgDefault() ? -1 : cell.getBgColor()};
      look.bold = cell.isBold() !== 0;
      if (cell.isInverse()) [look.fg, look.bg] = [look.bg === -1 ? BACK : look.bg, look.fg === -1 ? TEXT : look.fg];
      const last = runs.at(-1);
      const isSame =
        last !== undefined && width === 1 && last.width === 1 && JSON.stringify(last.look) === JSON.stringify(look);
      if (isSame) last.text += cell.getChars() || ' ';
      else runs.push({x, look, width, text: cell.getChars() || ' '});
    }
    return runs;
  });
}

function drawStill(frame) {
  return drawWindow(frame, drawCells(frame.screen));
}

/** Shows the frames in turn, with the typed keys in the title bar. Without animation, the first one. */
function drawMoving(frames) {
  const total = frames.reduce((sum, {seconds}) => sum + seconds, 0);
  const share = (seconds) => `${((100 * seconds) / total).toFixed(2)}%`;
  let from = 0;
  const rules = frames.map(({seconds}, index) => {
    const [begin, end] = [share(from), share((from += seconds))];
    const steps = `0%{opacity:0}${begin}{opacity:1}${end}{opacity:0}`;
    return `@keyframes f${index}{${index === 0 ? steps.slice('0%{opacity:0}'.length) : steps}}.f${index}{animation:f${index} ${total}s step-end infinite;opacity:0}`;
  });
  const still = '@media(prefers-reduced-motion:reduce){g{animation:none!important}.f0{opacity:1}}';
  const groups = frames.map(({does, screen, size}, index) => {
    const middle = (size.columns * CELL_WIDTH) / 2 + MARGIN;
    const title = `<text x="${middle}" y="22" text-anchor="middle" fill="${PALETTE[11]}">${escapeXml(does)}</text>`;
    return `<g class="f${index}">${title}\n${drawCells(screen).join('\n')}</g>`;
  });
  return drawWindow(frames[0], [`<style>${rules.join('')}${still}</style>`, ...groups]);
}

function drawCells(screen) {
  const colour = (index) => (index < 0 || typeof index === 'string' ? index : PALETTE[index]);
  return screen.flatMap((runs, y) =>
    runs.flatMap(({x, look, width: cells, text}) => {
      const length = Array.from(text).length * cells * CELL_WIDTH;
      const [left, top] = [MARGIN + x * CELL_WIDTH, BAR + MARGIN + y * CELL_HEIGHT].map(round);
      const back =
        look.bg === -1
          ? []
          : [
              `<rect x="${left}" y="${top}" width="${round(length)}" height="${CELL_HEIGHT}" fill="${colour(look.bg)}"/>`,
            ];
      if (text.trim() === '') return back;
      const fill = look.fg === -1 ? '' : ` fill="${colour(look.fg)}"`;
      const bold = look.bold ? ' font-weight="bold"' : '';
      const shown = text.trimEnd();
      const shownLength = round(Array.from(shown).length * cells * CELL_WIDTH);
      return [
        ...back,
        `<text x="${left}" y="${top + 13.5}" textLength="${shownLength}" lengthAdjust="spacingAndGlyphs"${fill}${bold}>${escapeXml(shown)}</text>`,
      ];
    }),
  );
}

function drawWindow({size: {columns, rows}}, content) {
  const width = round(columns * CELL_WIDTH + 2 * MARGIN);
  const height = rows * CELL_HEIGHT + 2 * MARGIN + BAR;
  const buttons = ['#ff5f57', '#febc2e', '#28c840'].map(
    (fill, index) => `<circle cx="${20 + index * 20}" cy="18" r="6" fill="${fill}"/>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`,
    `<rect width="${width}" height="${height}" rx="8" fill="${BACK}"/>`,
    ...buttons,
    `<g font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="14" fill="${TEXT}">`,
    ...content,
    '</g>',
    '</svg>',
    '',
  ].join('\n');
}

function round(length) {
  return Number(length.toFixed(1));
}

/** Uses blanks that no renderer joins. */
function escapeXml(text) {
  return text.replaceAll(' ', '\u00a0').replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
