import type {Interfaces} from '@oclif/core';

import {editDistance} from '../../lib/values/edit-distance.js';
import {TokengateError} from '../../lib/values/errors.js';

/** Maximum number of suggestions; a longer list helps nobody. */
const MOST = 4;

/** The names that were probably meant: those that differ in few letters, or share a word. */
function findNearest(typed: string, names: readonly string[]): string[] {
  const distances = names.map((name) => ({name, distance: editDistance(typed, name)}));
  const least = Math.min(...distances.map(({distance}) => distance));
  if (least <= Math.max(1, Math.floor(typed.length * 0.34))) {
    return distances
      .filter(({distance}) => distance === least)
      .map(({name}) => name)
      .slice(0, MOST);
  }
  const words = wordsOf(typed);
  const withWord = (most: number): string[] =>
    names.filter((name) => wordsOf(name).some((word) => words.some((one) => editDistance(one, word) <= most)));
  const exact = withWord(0);
  const related = exact.length > 0 ? exact : withWord(1);
  return related.length <= MOST ? related : [];
}

/** @param others other words that could stand there */
export function unknownCommand(typed: string, config: Interfaces.Config, others: string[] = []): TokengateError {
  const names = [...config.commands.filter(({hidden}) => !hidden).map(({id}) => id), ...others];
  return new TokengateError('UNKNOWN_COMMAND', `Unknown command '${typed}'.`, {
    hint: `${guessNearest(typed, names)}See them all with: ${config.bin} help`,
  });
}

/** A question that suggests names, followed by a space; empty without suggestions. */
export function guessNearest(typed: string, names: readonly string[]): string {
  const nearest = findNearest(typed, names);
  if (nearest.length === 0) return '';
  const last = nearest.pop() ?? '';
  return `Did you mean ${nearest.length === 0 ? last : `${nearest.join(', ')} or ${last}`}? `;
}

function wordsOf(name: string): string[] {
  return name.split(/[^a-z0-9]+/i).filter((word) => word.length > 2);
}
