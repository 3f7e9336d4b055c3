import {accessSync} from 'node:fs';
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {delimiter, join} from 'node:path';
import {pathToFileURL} from 'node:url';

import axe from 'axe-core';
import puppeteer, {type Browser, type Page} from 'puppeteer-core';
import {afterAll, beforeAll, expect, test} from 'vitest';

import {run} from '../support/program/run.js';
import {startRedis, type TestRedis} from '../support/redis/redis-server.js';

const HOSTILE = ['<script>alert(1)</script>', '"><img src=x onerror=alert(1)>', "'&lt;\u202egnp", 'a'.repeat(300)];

let redis: TestRedis;
let browser: Browser;
let folder: string;
beforeAll(async () => {
  redis = await startRedis();
  folder = await mkdtemp(join(tmpdir(), 'tokengate-test-'));
  await run('record-spending', redis);
  const ids = [...HOSTILE, ...Array.from({length: 12}, (_, nth) => `team-${nth % 3}:agent-${nth}`)];
  await redis.client.mSet(ids.map((id, nth): [string, string] => [`session:${id}:spent`, String(nth + 0.25)]));
  await redis.client.mSet(ids.map((id): [string, string] => [`session:${id}:budget`, '100.0']));
  await run('record-spending', redis);
  browser = await puppeteer.launch({executablePath: findBrowser(), args: ['--no-sandbox', '--disable-gpu']});
});
afterAll(async () => {
  await browser.close();
  await redis.stop();
  await rm(folder, {recursive: true});
});

/** `npm test` installs it when it is not there. */
function findBrowser(): string {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const files = ['chromium', 'chromium-browser', 'google-chrome'].flatMap((name) =>
    folders.map((path) => join(path, name)),
  );
  const found = files.find((file) => {
    try {
      accessSync(file);
      return true;
    } catch {
      return false;
    }
  });
  if (found === undefined) throw new Error('Chromium is not installed');
  return found;
}

/** Opens a report, and gives what the page said and asked for. */
async function open(
  flags: string,
  theme: 'light' | 'dark',
): Promise<{page: Page; told: string[]; asked: string[]; html: string}> {
  const file = join(folder, 'report.html');
  expect(await run(`report-spending --period 7d --format html --out ${file} ${flags}`, redis)).toMatchObject({
    code: 0,
    stdout: '',
  });
  const page = await browser.newPage();
  const told: string[] = [];
  const asked: string[] = [];
  page.on('console', (message) => told.push(message.text()));
  page.on('pageerror', (error) => told.push(String(error)));
  page.on('dialog', (dialog) => told.push(`dialog: ${dialog.message()}`));
  page.on('request', (request) => asked.push(request.url()));
  await page.emulateMediaFeatures([{name: 'prefers-color-scheme', value: theme}]);
  await page.goto(pathToFileURL(file).href);
  return {page, told, asked, html: await readFile(file, 'utf8')};
}

const CASES: [flags: string, theme: 'light' | 'dark'][] = [
  ['', 'light'],
  ['--compare --top 3', 'dark'],
  ['--group-depth 1', 'light'],
  ['--by week', 'dark'],
];

test.each(CASES)(
  'opened in Chromium, %s %s is silent, asks nothing of anybody, and is accessible',
  async (flags, theme) => {
    const {page, told, asked, html} = await open(flags, theme);
    expect(told).toEqual([]);
    expect(asked.filter((url) => !url.startsWith('data:'))).toEqual([page.url()]);
    expect(html).not.toMatch(/<script|onerror=[^&]*>|src=["']?http/i);
    expect(await page.evaluate(`document.querySelectorAll('svg rect').length`)).toBeGreaterThan(0);
    await page.close();

    // The page runs no script, so that axe looks at the same page without that rule.
    const look = await browser.newPage();
    const file = join(folder, 'look.html');
    await writeFile(file, html.replace(/<meta http-equiv=[^>]*>/, ''));
    await look.emulateMediaFeatures([{name: 'prefers-color-scheme', value: theme}]);
    await look.goto(pathToFileURL(file).href);
    await look.addScriptTag({content: axe.source});
    const violations = await look.evaluate(
      `axe.run().then(({violations}) => violations.filter(({impact}) => ['serious', 'critical', 'moderate'].includes(impact)).map(({id, nodes}) => [id, nodes.map(({html}) => html)]))`,
    );
    expect(violations).toEqual([]);
    await look.close();
  },
);

test('the text of IDs stands there as it is, but for what would act', async () => {
  const {page, html} = await open('', 'light');
  const names = await page.evaluate(`[...document.querySelectorAll('tbody th')].map((cell) => cell.textContent)`);
  for (const id of HOSTILE) expect(names).toContain(id.replace('\u202e', '\\u202e'));
  expect(html).not.toContain('\u202e');
  await page.close();
});

test('it fits a page of paper, and a narrow screen', async () => {
  const {page} = await open('--compare', 'dark');
  const pdf = await page.pdf({format: 'A4'});
  expect(Buffer.from(pdf).subarray(0, 5).toString()).toBe('%PDF-');
  await page.setViewport({width: 360, height: 640});
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
  await page.close();
});
