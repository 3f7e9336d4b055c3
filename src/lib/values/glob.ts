import type {RawId} from './session-id.js';

/**
 * True when the whole text matches a Redis glob: `*`, `?` (one byte), `[abc]`, `[^a]`, `[a-z]`, and `\` before a
 * literal character. Works byte by byte like `stringmatchlen` in Redis, unclosed brackets included, so that an ID
 * matches here exactly when it matches in Redis.
 */
export function matchesGlob(glob: Buffer, text: Buffer): boolean {
  let g = 0;
  let t = 0;
  // Where to continue when the rest after the last star does not fit: one byte further.
  let afterStar = -1;
  let starText = 0;
  for (;;) {
    if (g < glob.length && glob[g] === STAR) {
      afterStar = ++g;
      starText = t;
      continue;
    }
    if (t === text.length && g === glob.length) return true;
    const next = t < text.length && g < glob.length ? matchOne(glob, g, text[t] ?? 0) : -1;
    if (next !== -1) {
      g = next;
      t++;
    } else if (afterStar !== -1 && starText < text.length) {
      g = afterStar;
      t = ++starText;
    } else {
      return false;
    }
  }
}

/** Returns whether an ID matches a Redis glob; without a glob, every ID does. */
export function idMatcher(glob: string | undefined): (id: RawId) => boolean {
  if (glob === undefined) return () => true;
  const bytes = Buffer.from(glob);
  return (id) => matchesGlob(bytes, Buffer.from(id, 'latin1'));
}

/** A Redis glob that only this text matches. */
export function escapeGlob(text: string): string {
  return text.replace(/[*?[\\]/g, '\\$&');
}

/**
 * The part of a key pattern that stands for the ID. A bracket or a backslash in it could swallow what follows the ID in
 * the key: then the pattern is wider than the glob (`isExact` is false), and each ID has to be matched again.
 */
export function narrow(glob = '*'): {pattern: string; isExact: boolean} {
  const isExact = !/[[\\]/.test(glob);
  return {pattern: isExact ? glob : glob.replace(/[[\\*?].*/s, '*'), isExact};
}

const [STAR, QUESTION, OPEN, CLOSE, CARET, DASH, BACKSLASH] = Buffer.from('*?[]^-\\') as unknown as number[];

/** Where the glob continues after matching one byte; -1 when it does not match. */
function matchOne(glob: Buffer, start: number, byte: number): number {
  const code = glob[start];
  if (code === QUESTION) return start + 1;
  if (code === OPEN) return matchSet(glob, start + 1, byte);
  const literal = code === BACKSLASH && start + 1 < glob.length ? start + 1 : start;
  return glob[literal] === byte ? literal + 1 : -1;
}

function matchSet(glob: Buffer, start: number, byte: number): number {
  const negated = glob[start] === CARET;
  let g = negated ? start + 1 : start;
  let found = false;
  for (; g < glob.length && glob[g] !== CLOSE; g++) {
    const code = glob[g] ?? 0;
    if (code === BACKSLASH && g + 1 < glob.length) {
      g++;
      found ||= glob[g] === byte;
    } else if (glob[g + 1] === DASH && g + 2 < glob.length) {
      const end = glob[g + 2] ?? 0;
      found ||= byte >= Math.min(code, end) && byte <= Math.max(code, end);
      g += 2;
    } else {
      found ||= code === byte;
    }
  }
  return found === negated ? -1 : Math.min(g + 1, glob.length);
}
