import type {Color, Config, Context, UrlSource} from '../../lib/contexts/config.js';
import {addressOf, parseRedisUrl} from '../../lib/redis/url.js';
import {renderDocuments} from '../text/documents.js';
import {showText} from '../text/escape.js';
import {drawTable} from '../text/table.js';

export const CONTEXT_FORMATS = ['table', 'json', 'ndjson'] as const;

/** A context in the form for scripts, which is a contract. */
export interface ContextJson {
  name: string;
  /** Null when the file does not hold the URL itself. */
  address: string | null;
  database: number | null;
  url_from: Context['source']['from'];
  default: boolean;
  protected: boolean;
  read_only: boolean;
  actor: string | null;
  color: Color | null;
}

/** The same in a list. */
interface ListedContext extends ContextJson {
  /** True if a command on this line, in this environment, would use it. */
  in_effect: boolean;
}

export function toContextJson(context: Context, config: Config): ContextJson {
  const {name, source, isProtected, isReadOnly, actor = null, color = null} = context;
  const target = source.from === 'redis-url' ? parseRedisUrl(source.url) : undefined;
  return {
    name,
    address: target?.endpoints.map(addressOf).join(',') ?? null,
    database: target?.database ?? null,
    url_from: source.from,
    default: name === config.default,
    protected: isProtected,
    read_only: isReadOnly,
    actor,
    color,
  };
}

/** A list of contexts as text, piece by piece. */
export async function* renderContexts(
  config: Config,
  {format, inEffect}: {format: (typeof CONTEXT_FORMATS)[number]; inEffect: string | undefined},
): AsyncGenerator<string> {
  const contexts = [...config.contexts.values()];
  const documents = contexts.map((context): ListedContext => ({
    ...toContextJson(context, config),
    in_effect: context.name === inEffect,
  }));
  if (format !== 'table') {
    yield* renderDocuments(documents, format);
  } else if (contexts.length > 0) {
    yield* await drawTable(
      ['Context', 'Server', 'Notes'],
      contexts.map(({source}, index) => toCells(source, documents[index])),
    );
  }
}

function toCells(source: UrlSource, one: ListedContext | undefined): string[] {
  const notes = [
    ...(one?.in_effect ? ['in effect'] : []),
    ...(one?.default ? ['default'] : []),
    ...(one?.protected ? ['protected'] : []),
    ...(one?.read_only ? ['read-only'] : []),
  ];
  return [one?.name ?? '', showText(describeServer(source, one)), notes.join(', ') || '-'];
}

function describeServer(source: UrlSource, one: ListedContext | undefined): string {
  if (source.from === 'redis-url-file') return `in ${source.file}`;
  if (source.from === 'redis-url-command') return `from ${source.command[0]}`;
  return `${one?.address ?? ''} db ${one?.database ?? 0}`;
}
