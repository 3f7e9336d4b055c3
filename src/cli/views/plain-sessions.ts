import {toAmountTexts} from '../../lib/gateway/amount-texts.js';
import type {PlainSession} from '../../lib/sessions/plain.js';

/** The text of a session is made of these; the amounts have the places of `AmountTexts`. */
type Part = 'id' | 0 | 1 | 2 | 3 | 'no' | 'none';

/** By the names of columns; the others need a whole session. */
const PARTS: Partial<Record<string, Part>> = {
  ...{id: 'id', budget: 0, spent: 1, remaining: 2, used: 3, frozen: 'no', until: 'none', reason: 'none'},
};

/** True when plain sessions have texts for all these columns. */
export function arePlain(columns: readonly string[]): boolean {
  return columns.every((name) => PARTS[name] !== undefined);
}

/** How to write a session in a format. */
interface Form {
  /** The text before each column's value, and the one after the last. */
  before: readonly string[];
  end: string;
  none: string;
  toId: (id: string) => string;
}

/**
 * Writes plain sessions as their format writes any session. It runs for every session, so that what is the same for all
 * of them is put together before.
 */
export function plainWriter(
  columns: readonly string[],
  {before, end, none, toId}: Form,
): (session: PlainSession) => string {
  const texts: string[] = [];
  const parts: ('id' | 0 | 1 | 2 | 3)[] = [];
  let text = '';
  for (const [index, name] of columns.entries()) {
    text += before[index] ?? '';
    const part = PARTS[name] ?? 'none';
    if (part === 'no') text += 'false';
    else if (part === 'none') text += none;
    else {
      texts.push(text);
      parts.push(part);
      text = '';
    }
  }
  const last = text + end;
  return ({id, budgetText, spentText}) => {
    const amounts = toAmountTexts(budgetText, spentText);
    let line = '';
    for (let index = 0; index < parts.length; index++) {
      const part = parts[index] ?? 'id';
      line += (texts[index] ?? '') + (part === 'id' ? toId(id) : amounts[part]);
    }
    return line + last;
  };
}
