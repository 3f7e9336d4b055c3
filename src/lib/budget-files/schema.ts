import {FEWEST_LETTERS, WEEKDAYS} from '../periods/terms.js';
import {HEX} from '../values/session-id.js';
import {DEFAULTS, FIELDS, type FieldName, OF_PERIOD, PERIODS, VERSION} from './fields.js';

/**
 * A JSON Schema (draft 2020-12) of the file, for editors and other checks. It cannot compare one amount with another.
 */
export function makeSchema(): object {
  // In YAML a glob of digits alone needs no quotes.
  const text = {type: ['string', 'number', 'boolean'], minLength: 1};
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Budgets of TokenGate sessions',
    type: 'object',
    properties: {
      version: {description: 'Version of the format', enum: [Number(VERSION), VERSION]},
      scope: {
        description: 'Redis globs of the IDs that the file is responsible for; needed by --unlisted zero and freeze',
        type: 'array',
        items: text,
        minItems: 1,
      },
      defaults: {
        description: 'Default fields of every entry with a period',
        type: 'object',
        properties: pick(DEFAULTS),
        additionalProperties: false,
      },
      sessions: {
        description: 'Budgets by session ID',
        type: 'object',
        propertyNames: {pattern: '^\\P{Cs}+$'},
        additionalProperties: {$ref: '#/$defs/entry'},
      },
      id_hex: {
        description: 'Budgets of sessions whose ID is no UTF-8 text, by its bytes in hexadecimal digits',
        type: 'object',
        propertyNames: {pattern: HEX.source},
        additionalProperties: {$ref: '#/$defs/entry'},
      },
      rules: {
        description: 'Budgets of sessions that exist and are not named; the first match wins',
        type: 'array',
        items: {
          type: 'object',
          properties: {match: {description: 'Redis glob of the IDs', ...text}, ...pick(fieldNames)},
          required: ['match'],
          additionalProperties: false,
          allOf: conditions(),
        },
      },
    },
    required: ['version'],
    additionalProperties: false,
    $defs: {entry: {type: 'object', properties: pick(fieldNames), additionalProperties: false, allOf: conditions()}},
  };
}

const fieldNames = Object.keys(FIELDS) as FieldName[];

function pick(names: readonly FieldName[]): Record<string, object> {
  return Object.fromEntries(
    names.map((name) => {
      const {description, schema} = FIELDS[name];
      return [name, {description, ...schema}];
    }),
  );
}

/** How fields depend on each other. */
function conditions(): object[] {
  const when = (name: FieldName, values: readonly string[], then: object): object => ({
    if: {properties: {[name]: {enum: values}}, required: [name]},
    then,
  });
  const withPeriod = PERIODS.filter((period) => period !== 'none');
  const without = (names: readonly FieldName[]): object => ({
    properties: Object.fromEntries(names.map((name) => [name, false])),
  });
  return [
    {dependentRequired: Object.fromEntries(OF_PERIOD.map((name) => [name, ['period']]))},
    when('period', ['none'], without(OF_PERIOD)),
    when('period', withPeriod, {anyOf: [{required: ['budget']}, {required: ['amount']}]}),
    when('period', ['day', 'year'], without(['on'])),
    when('period', ['week'], {
      properties: {on: {type: 'string', pattern: `^(?:${WEEKDAYS.map(prefixes).join('|')})$`}},
    }),
    when('period', ['month'], {
      properties: {
        on: {
          anyOf: [
            {type: 'integer', minimum: 1, maximum: 31},
            {type: 'string', pattern: '^(?:0?[1-9]|[12]\\d|3[01])$'},
          ],
        },
      },
    }),
    {if: {required: ['max-rollover']}, then: {properties: {rollover: {const: 'unused'}}, required: ['rollover']}},
  ];
}

/** A pattern for the first letters of a day, in either case. */
function prefixes(day: string): string {
  const letters = Array.from(day, (letter) => `[${letter}${letter.toUpperCase()}]`);
  const rest = letters.slice(FEWEST_LETTERS).reduceRight((after, letter) => `(?:${letter}${after})?`, '');
  return letters.slice(0, FEWEST_LETTERS).join('') + rest;
}
