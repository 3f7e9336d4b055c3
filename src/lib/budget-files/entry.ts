import {parseTimezone} from '../periods/calendar.js';
import {parseDay, type Terms} from '../periods/terms.js';
import {TokengateError} from '../values/errors.js';
import {DEFAULTS, FIELDS, type FieldName, type FieldValues, NAMES, OF_PERIOD} from './fields.js';
import type {MapNode, Node, Problem} from './nodes.js';
import type {Wanted} from './wanted.js';

/** The fields that were read, and their positions. */
interface Fields {
  values: FieldValues;
  places: Map<string, number>;
  /** The position where the entry begins. */
  at: number;
}

export type Defaults = Pick<FieldValues, (typeof DEFAULTS)[number]>;

/** Reads entries of a file, and collects what is wrong with them. */
export class EntryReader {
  private readonly zones = new Map<string, string>();
  private readonly told = new Set<string>();
  /** Thousands of sessions share a few texts. */
  private readonly known = new Map<string, Wanted>();

  constructor(private readonly problems: Problem[]) {}

  /** The wanted state that a session describes. */
  readSession(node: MapNode, defaults: Defaults): Wanted {
    const {text} = node;
    if (text === undefined) return this.read(node, defaults);
    const known = this.known.get(text);
    if (known !== undefined) return known;
    const before = this.problems.length;
    const wanted = this.read(node, defaults);
    // Each problem has a position of its own.
    if (this.problems.length === before) this.known.set(text, wanted);
    return wanted;
  }

  /** The wanted state that a session or a rule describes. */
  read(node: MapNode, defaults: Defaults, others: readonly string[] = []): Wanted {
    const fields = this.readFields(node, Object.keys(FIELDS) as FieldName[], others);
    const {budget, note = ''} = fields.values;
    return {budget, period: this.readPeriod(fields, defaults), note};
  }

  readDefaults(node: MapNode): Defaults {
    return this.readFields(node, DEFAULTS, []).values;
  }

  private readFields({entries, at}: MapNode, names: readonly FieldName[], others: readonly string[]): Fields {
    const values: Record<string, unknown> = {};
    const places = new Map<string, number>();
    for (const [{text: name, at: nameAt}, value] of entries) {
      const isKnown = (names as readonly string[]).includes(name);
      if (!isKnown && !others.includes(name)) {
        const known = [...others, ...names].join(', ');
        this.add(nameAt, name, `There is no such field. Known: ${known}.`);
      } else if (places.has(name)) {
        this.add(nameAt, name, 'The field is there twice.');
      } else {
        places.set(name, value.at);
        if (isKnown) values[name] = this.readField(name as FieldName, value);
      }
    }
    return {values, places, at};
  }

  private readField(name: FieldName, node: Node): unknown {
    const text = this.readText(node, name);
    if (text === undefined) return undefined;
    return this.attempt(node.at, name, () => (name === 'timezone' ? this.readZone(text) : FIELDS[name].read(text)));
  }

  /** The text of a node, or undefined, with a problem, if it is not a text. */
  readText(node: Node, field: string): string | undefined {
    if (node.kind === 'text' && !node.isNull) return node.text;
    const isNull = node.kind === 'text';
    this.add(
      node.at,
      field,
      isNull ? 'It has no value. Leave the field out to keep what is there.' : `It is a ${node.kind}, not one value.`,
    );
    return undefined;
  }

  private readPeriod({values, places, at}: Fields, defaults: Defaults): Wanted['period'] {
    const {period: every, budget, rollover = 'none'} = values;
    const isEnded = every === 'none';
    if (!places.has('period') || isEnded) {
      for (const name of OF_PERIOD) {
        const place = places.get(name);
        if (place === undefined) continue;
        this.add(place, name, isEnded ? `${name} and period none contradict each other.` : `${name} goes with period.`);
      }
      return isEnded ? null : undefined;
    }
    const {amount = budget, timezone = defaults.timezone ?? 'UTC', at: time = defaults.at ?? '00:00', on} = values;
    const maxRollover = values['max-rollover'];
    if (!places.has('amount') && !places.has('budget')) {
      this.add(places.get('period') ?? at, 'period', 'period needs budget or amount.');
    }
    if (places.has('max-rollover') && rollover === 'none') {
      this.add(places.get('max-rollover') ?? at, 'max-rollover', 'max-rollover goes with rollover unused.');
    }
    if (every === undefined) return undefined;
    const day = this.attempt(places.get('on') ?? at, 'on', () => parseDay(every, on, NAMES));
    // The missing field is already reported, and the entry is not used.
    if (amount === undefined || day === undefined) return undefined;
    const terms: Terms = {every, timezone, at: time, on: day, amount, rollover, maxRollover: maxRollover ?? null};
    return terms;
  }

  /** Cached: thousands of sessions share a few zones, and each takes a while to read. */
  private readZone(typed: string): string {
    const known = this.zones.get(typed) ?? parseTimezone(typed);
    this.zones.set(typed, known);
    return known;
  }

  private attempt<T>(at: number, field: string, read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof TokengateError)) throw error;
      const {message, hint} = error;
      this.add(at, field, hint === undefined ? message : `${message} ${hint}`);
      return undefined;
    }
  }

  /** Once for each place: many sessions may merge the same fields. */
  add(at: number, field: string, message: string): void {
    const problem = `${at} ${message}`;
    if (this.told.has(problem)) return;
    this.told.add(problem);
    this.problems.push({at, field, message});
  }
}
