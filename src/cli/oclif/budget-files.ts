import {type Mistake, readBudgets} from '../../lib/budget-files/read.js';
import type {Budgets} from '../../lib/budget-files/wanted.js';
import {TokengateError} from '../../lib/values/errors.js';
import {readInput, STDIN} from '../terminal/input.js';
import {reportLine} from '../terminal/report.js';
import {formatCount} from '../text/words.js';

/** In bytes: about a million sessions. */
const MOST_BYTES = 64 * 2 ** 20;
/** Mistakes to print; the rest are only counted. */
const MOST_MISTAKES = 1000;

/** For a flag that names budget files. */
export const FILE = {
  char: 'f',
  description: 'Budget file in YAML or JSON, - for stdin; several files count as one',
  helpValue: 'FILE',
  multiple: true,
  multipleNonGreedy: true,
} as const;

/** Reads a file named by a flag, or stdin for `-`. */
export async function readFlagFile(name: string): Promise<Buffer> {
  return readInput(name, MOST_BYTES);
}

/**
 * Reads budget files and reports everything that is wrong with them.
 *
 * @param isJson puts the mistakes into the error alone
 * @throws TokengateError INVALID_BUDGET_FILE, INVALID_USAGE, and the errors of `readInput`
 */
export async function readBudgetFiles(names: readonly string[], {isJson}: {isJson: boolean}): Promise<Budgets> {
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new TokengateError('INVALID_USAGE', `The file '${twice}' is named twice.`);
  const files = [];
  for (const name of names) {
    files.push({name: name === STDIN ? '<stdin>' : name, bytes: await readFlagFile(name)});
  }
  const {budgets, mistakes} = await readBudgets(files);
  if (budgets !== undefined) return budgets;
  const lines = mistakes.slice(0, MOST_MISTAKES).map(describeMistake);
  if (!isJson) for (const line of lines) reportLine(line);
  const count = mistakes.length === 1 ? '1 mistake' : `${formatCount(mistakes.length)} mistakes`;
  const told = isJson ? ` ${lines.join(' ')}` : '';
  throw new TokengateError('INVALID_BUDGET_FILE', `Found ${count}, and did nothing.${told}`);
}

/** `budgets.yaml:4:12: budget: Invalid amount …`, a form that editors and CI recognize. */
function describeMistake({file, line, column, field, message}: Mistake): string {
  return `${file}:${line}:${column}: ${field === undefined ? '' : `${field}: `}${message}`;
}
