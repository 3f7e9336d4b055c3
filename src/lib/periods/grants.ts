import {type Money, parseAmount, type TypedAmount, ZERO} from '../values/money.js';
import {parseStoredTime} from './period.js';

/** A temporary addition to a budget. */
export interface Grant {
  id: string;
  /** USD, above 0. */
  amount: TypedAmount;
  /** The end; null for the next renewal. */
  until: Date | null;
  /** Untrusted text; empty without one. */
  note: string;
}

/** ASCII, so that its bytes are its text. */
export function formatGrants(grants: readonly Grant[]): string {
  const stored = grants.map(({id, amount, until, note}) => ({
    ...{id, amount: amount.text, until: until?.toISOString() ?? null, note},
  }));
  return JSON.stringify(stored).replace(
    /[^\0-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** @returns undefined for a value that this CLI did not write */
export function parseGrants(text: string): Grant[] | undefined {
  try {
    const stored = JSON.parse(text) as Record<string, unknown>[];
    return stored.map(({id, amount, until, note}) => {
      if (typeof id !== 'string' || id === '' || typeof note !== 'string') throw new TypeError('no grant');
      const typed = parseAmount(String(amount));
      if (typed.value.lte(ZERO)) throw new TypeError('no amount');
      return {id, amount: typed, until: until === null ? null : parseStoredTime(until), note};
    });
  } catch {
    return undefined;
  }
}

export function isOver({until}: Grant, now: Date): boolean {
  return until !== null && until <= now;
}

export function sumOf(grants: readonly Grant[]): Money {
  return grants.reduce((sum, {amount}) => sum.plus(amount.value), ZERO);
}
