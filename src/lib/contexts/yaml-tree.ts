import type {Document, Node, Pair} from 'yaml';

/** A value of a YAML text, and the offset where it begins. */
export type Tree = {offset: number} & (
  | {kind: 'scalar'; value: unknown; /** As it is written, without quotes. */ text: string}
  | {kind: 'list'; items: Tree[]}
  | {kind: 'map'; entries: Entry[]}
);

export interface Entry {
  name: string;
  /** The offset where its name begins. */
  offset: number;
  value: Tree;
}

/** The tree of a text in any YAML. `refuse` never receives a part of the text, which may hold a secret. */
export async function readYamlTree(text: string, refuse: (offset: number, why: string) => never): Promise<Tree> {
  const {isAlias, isMap, isScalar, isSeq, parseDocument} = await import('yaml');
  // Pretty errors quote the text.
  const document: Document = parseDocument(text, {prettyErrors: false});
  const [error] = document.errors;
  if (error !== undefined) refuse(error.pos[0], `this is not YAML (${error.message.replace(/["':;].*$/s, '').trim()})`);
  const toTree = (found: Node | null, after: number): Tree => {
    const offset = found?.range?.[0] ?? after;
    const node = isAlias(found) ? found.resolve(document) : found;
    if (node === undefined) return refuse(offset, 'this alias has no anchor');
    if (node === null) return {kind: 'scalar', offset, value: null, text: ''};
    if (isSeq(node))
      return {kind: 'list', offset, items: node.items.map((item) => toTree(item as Node | null, offset))};
    if (isMap(node)) return {kind: 'map', offset, entries: (node.items as Pair<Node, Node | null>[]).map(toEntry)};
    if (!isScalar(node)) return refuse(offset, 'this is neither a text, a list nor a map');
    const {value, source} = node;
    return {kind: 'scalar', offset, value, text: typeof value === 'string' ? value : (source ?? String(value))};
  };
  const toEntry = ({key, value}: Pair<Node, Node | null>): Entry => {
    const offset = key.range?.[0] ?? 0;
    if (!isScalar(key)) return refuse(offset, 'this is not the name of a field');
    return {name: String(key.value), offset, value: toTree(value, offset)};
  };
  return toTree(document.contents, 0);
}
