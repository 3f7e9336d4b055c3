import {type Mistake, readBudgets} from '../../lib/budget-files/read.js';
import type {Budgets} from '../../lib/budget-files/wanted.js';
import {TokengateError} from '../../lib/values/errors.js';
import {readInput, STDIN} from '../terminal/input.js';
import {reportLine} from '../terminal/report.js';
import {formatCount} from '../text/words.js';

/** Bytes of a file: about a million sessions. */
const MOST_BYTES = 64 * 2 ** 20;
/** Past this many mistakes the rest are only counted. */
const MOST_MISTAKES = 1000;

/** Of a flag that names files with budgets. */
export const FILE = {
  char: 'f',
  description: 'File with budgets, in YAML or JSON; - for stdin. Several files count as one',
  helpValue: 'FILE',
  multiple: true,
  multipleNonGreedy: true,
} as const;

/** Reads a file that a flag names, or stdin for `-`. */
export async function readFlagFile(name: string): Promise<Buffer> {
  return readInput(name, MOST_BYTES);
}

/**
 * Reads files with budgets, and says all that is wrong with them.
 *
 * @param isJson says it in the error alone
 * @throws TokengateError INVALID_BUDGET_FILE, INVALID_USAGE, and those of `readInput`
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

/** `budgets.yaml:4:12: budget: Invalid amount …`, as editors and CI understand it. */
function describeMistake({file, line, column, field, message}: Mistake): string {
  return `${file}:${line}:${column}: ${field === undefined ? '' : `${field}: `}${message}`;
}
