import type {Interfaces} from '@oclif/core';

import {TokengateError} from '../../lib/values/errors.js';

/** More than these say nothing. */
const MOST = 3;

/** Of the names those that were probably meant: with few other letters, or that have a word in common. */
function findNearest(typed: string, names: readonly string[]): string[] {
  const distances = names.map((name) => ({name, distance: distanceOf(typed, name)}));
  const least = Math.min(...distances.map(({distance}) => distance));
  if (least <= Math.max(1, Math.floor(typed.length * 0.34))) {
    return distances
      .filter(({distance}) => distance === least)
      .map(({name}) => name)
      .slice(0, MOST);
  }
  const words = wordsOf(typed);
  const related = names.filter((name) => wordsOf(name).some((word) => words.some((one) => distanceOf(one, word) <= 1)));
  return related.length <= MOST ? related : [];
}

/** @param others what else could stand there */
export function unknownCommand(typed: string, config: Interfaces.Config, others: string[] = []): TokengateError {
  const names = [...config.commands.filter(({hidden}) => !hidden).map(({id}) => id), ...others];
  return new TokengateError('UNKNOWN_COMMAND', `Unknown command '${typed}'.`, {
    hint: `${guessNearest(typed, names)}See them all with: ${config.bin} help`,
  });
}

/** A sentence that asks for those that were probably meant, and a space; nothing when there are none. */
export function guessNearest(typed: string, names: readonly string[]): string {
  const nearest = findNearest(typed, names);
  if (nearest.length === 0) return '';
  const last = nearest.pop() ?? '';
  return `Did you mean ${nearest.length === 0 ? last : `${nearest.join(', ')} or ${last}`}? `;
}

function wordsOf(name: string): string[] {
  return name.split(/[^a-z0-9]+/i).filter((word) => word.length > 2);
}

/** Letters to insert, to leave out, to replace or to exchange with the next one. */
function distanceOf(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({length: b.length + 1}, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min((row[j - 1] ?? 0) + 1, (last[j] ?? 0) + 1, (last[j - 1] ?? 0) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, (before[j - 2] ?? 0) + 1);
      }
      row.push(least);
    }
    [before, last] = [last, row];
  }
  return last[b.length] ?? 0;
}
