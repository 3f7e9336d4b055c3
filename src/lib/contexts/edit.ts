import type {Document, YAMLMap} from 'yaml';

import {TokengateError} from '../values/errors.js';
import {checkName, type Config, type Context, parseConfig, unknownContext} from './config.js';

/** The fields of a context as they are written to the file. */
export type NewContext = Readonly<Record<string, string | number | boolean>>;

/**
 * The text of a context file with one more context at its end. Comments and order are kept.
 *
 * @throws TokengateError INVALID_USAGE, CONTEXT_EXISTS, INVALID_CONFIG
 */
export async function addContext(
  {text, path}: {text: string; path: string},
  {name, fields, isDefault}: {name: string; fields: NewContext; isDefault: boolean},
): Promise<{text: string; config: Config; context: Context}> {
  checkName(name);
  const {isMap} = await import('yaml');
  const edited = await edit(text, path, (document, {contexts}) => {
    if (contexts.has(name)) {
      throw new TokengateError('CONTEXT_EXISTS', `There is a context '${name}' already.`, {
        hint: `Change it in ${path}, or remove it first: tokengate remove-context ${name}`,
      });
    }
    const list = document.get('contexts');
    // An empty list is written on one line, and so would be an entry that is added to it.
    if (isMap(list) && contexts.size === 0) list.flow = false;
    document.setIn(['contexts', name], document.createNode(fields));
    if (isDefault) setDefault(document, name);
  });
  const context = edited.config.contexts.get(name);
  if (context === undefined) throw new RangeError('a context that was added is missing');
  return {...edited, context};
}

/**
 * The text without a context, and without the default if it was that context.
 *
 * @throws TokengateError CONTEXT_NOT_FOUND, INVALID_CONFIG
 */
export async function removeContext(
  {text, path}: {text: string; path: string},
  name: string,
): Promise<{text: string; config: Config; wasDefault: boolean}> {
  let wasDefault = false;
  const edited = await edit(text, path, (document, config) => {
    if (!config.contexts.has(name)) throw unknownContext(name, config, path);
    wasDefault = config.default === name;
    document.deleteIn(['contexts', name]);
    if (wasDefault) document.delete('default');
  });
  return {...edited, wasDefault};
}

/** A new field comes first. */
function setDefault(document: Document, name: string): void {
  const isNew = !document.has('default');
  document.set('default', name);
  const {items} = document.contents as YAMLMap;
  if (isNew) items.unshift(...items.splice(-1));
}

async function edit(
  text: string,
  path: string,
  change: (document: Document, config: Config) => void,
): Promise<{text: string; config: Config}> {
  const before = await parseConfig(text, path);
  const {parseDocument} = await import('yaml');
  const document: Document = parseDocument(text);
  change(document, before);
  const edited = document.toString({lineWidth: 0, flowCollectionPadding: /[{[] /.test(text)});
  return {text: edited, config: await parseConfig(edited, path)};
}
