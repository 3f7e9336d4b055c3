import {existsSync, mkdirSync} from 'node:fs';
import {dirname} from 'node:path';

import {type Config, type Context, parseConfig, unknownContext} from '../../lib/contexts/config.js';
import {keepSecretUrl, redactStderr} from '../terminal/redact.js';
import {contextPath} from './choice.js';
import {readPlainFile} from './secret-file.js';

/** Room for hundreds of contexts. */
const CONTEXT_FILE = {what: 'context file', code: 'INVALID_CONFIG', maxBytes: 256 * 1024};

export interface ContextFile {
  path: string;
  text: string;
  /** Undefined when there is no file yet. */
  mode: number | undefined;
  config: Config;
}

/**
 * Reads the context file. Without a file there are no contexts.
 *
 * @param options.isNew true when a named file that does not exist is about to be made
 * @throws TokengateError INVALID_CONFIG
 */
export async function readContextFile({isNew = false} = {}): Promise<ContextFile> {
  const {path, isExpected} = contextPath();
  if (isNew ? !existsSync(path) : !isExpected)
    return {path, text: '', mode: undefined, config: await parseConfig('', path)};
  const {text, mode, refuseShared} = readPlainFile(path, CONTEXT_FILE);
  const config = await parseConfig(text, path);
  if (config.isSecret) refuseShared();
  for (const {source} of config.contexts.values()) if (source.from === 'redis-url') keepSecretUrl(source.url);
  redactStderr();
  return {path, text, mode, config};
}

/**
 * The context with this name, or the default one; undefined without a name and a default.
 *
 * @throws TokengateError INVALID_CONFIG, CONTEXT_NOT_FOUND
 */
export async function findContext(name: string | undefined): Promise<Context | undefined> {
  const {path, config} = await readContextFile();
  const wanted = name ?? config.default;
  const context = wanted === undefined ? undefined : config.contexts.get(wanted);
  if (wanted !== undefined && context === undefined) throw unknownContext(wanted, config, path);
  return context;
}

/**
 * Replaces the file as a whole. It keeps its mode, unless its new text is for its owner alone.
 *
 * @throws TokengateError OUTPUT_FAILED
 */
export async function writeContextFile(
  {path, mode = 0o600}: ContextFile,
  {text, isSecret}: {text: string; isSecret: boolean},
): Promise<void> {
  const {outputFailure, replaceFile} = await import('../terminal/replace-file.js');
  try {
    makeFolder(dirname(path));
  } catch (error) {
    throw outputFailure(path, error);
  }
  await replaceFile(path, text, isSecret ? 0o600 : mode);
}

/** One by one: below /proc, Node.js 20 tries for ever to make several at once. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(dirname(folder));
  mkdirSync(folder, {mode: 0o700});
}
