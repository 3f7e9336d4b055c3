import {eastAsianWidth} from 'get-east-asian-width';

const PLAIN = /^[\x20-\x7e]*$/;
/**
 * Characters that combine with the one before them: marks, and the vowels and final consonants of a decomposed Hangul
 * syllable.
 */
const COMBINING = /^[\p{Mn}\p{Me}\u1160-\u11ff\ud7b0-\ud7ff]$/u;

/** The number of terminal columns of a text that is safe to show. */
export function widthOf(text: string): number {
  if (PLAIN.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += widthOfCharacter(character);
  return width;
}

export function widthOfCharacter(character: string): number {
  return COMBINING.test(character) ? 0 : eastAsianWidth(character.codePointAt(0) ?? 0);
}

/** Characters, each with its combining characters. */
export function charactersOf(text: string): string[] {
  const characters: string[] = [];
  for (const character of text) {
    if (widthOfCharacter(character) > 0 || characters.length === 0) characters.push(character);
    else characters.push(`${characters.pop() ?? ''}${character}`);
  }
  return characters;
}

/** The text in at most this many columns, with `…` in the middle: IDs differ at their ends. */
export function cutMiddle(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  const characters = charactersOf(text);
  const [head, tail]: [string[], string[]] = [[], []];
  let left = width - 1;
  for (let isTail = false; ; isTail = !isTail) {
    const next = isTail ? characters.pop() : characters.shift();
    left -= widthOf(next ?? '');
    if (next === undefined || left < 0) break;
    if (isTail) tail.unshift(next);
    else head.push(next);
  }
  return width <= 0 ? '' : `${head.join('')}…${tail.join('')}`;
}
