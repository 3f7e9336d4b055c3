import {readdir, readFile} from 'node:fs/promises';
import {createRequire} from 'node:module';

import {expect} from 'vitest';

import {ROOT} from './root.js';

export interface Schema {
  anyOf?: Schema[];
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | false;
  items?: Schema;
  $defs?: {line: Schema};
}

interface Validate {
  (value: unknown): boolean;
  errors?: unknown;
}

// Its types need a module resolution that this project does not use.
const require = createRequire(import.meta.url);
const {Ajv2020} = require('ajv/dist/2020.js') as {
  Ajv2020: new (options: object) => {compile: (schema: Schema) => Validate};
};
const ajv = new Ajv2020({allErrors: true, allowUnionTypes: true});

const FOLDER = `${ROOT}docs/reference/schemas/`;
export const SCHEMAS = new Map(
  await Promise.all(
    (await readdir(FOLDER)).map(
      async (name) =>
        [name.replace('.schema.json', ''), JSON.parse(await readFile(FOLDER + name, 'utf8')) as Schema] as const,
    ),
  ),
);

/** @param of the subject of a failure message */
export function expectValid(schema: Schema, value: unknown, of: string): void {
  const validate = ajv.compile(schema);
  expect(validate(value) ? [] : validate.errors, of).toEqual([]);
}
