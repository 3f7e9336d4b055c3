import {readdir, readFile} from 'node:fs/promises';
import {dirname, join, normalize} from 'node:path';

import {expect, test} from 'vitest';

import {ROOT} from '../support/root.js';

const PAGES = [
  ...(await readdir(ROOT)).filter((name) => name.endsWith('.md')),
  ...(await readdir(`${ROOT}docs`, {recursive: true}))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

test.each(PAGES)('every link of %s leads somewhere', async (page) => {
  const text = await readFile(ROOT + page, 'utf8');
  for (const [, link = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^https?:/.test(link)) continue;
    const [file = '', anchor] = link.split('#');
    const target = file === '' ? page : normalize(join(dirname(page), file));
    const found = target.endsWith('.md')
      ? await readFile(ROOT + target, 'utf8')
      : await readdir(dirname(ROOT + target));
    if (anchor !== undefined) expect(anchorsOf(String(found)), link).toContain(anchor);
  }
});

/** As code hosts make them of headings. */
function anchorsOf(markdown: string): string[] {
  const headings = Array.from(markdown.matchAll(/^#+ (.*)$/gm), ([, heading = '']) => heading);
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}
