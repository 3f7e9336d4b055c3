import type * as Yaml from 'yaml';

import {type MapNode, type Node, plainText, type Problem, quotedText, type TextNode, type Tree} from './nodes.js';

/** Maximum number of fields that merge keys (`<<`) may add in all. */
const MOST_MERGED = 1_000_000;
const TOO_MUCH = 'Its merge keys (<<) add more than a million fields.';
const TOO_DEEP = 'It is nested too deeply.';

/** The tags of the three kinds of node, which change nothing. */
const TAGS = new Set(['tag:yaml.org,2002:str', 'tag:yaml.org,2002:map', 'tag:yaml.org,2002:seq', '!']);

/** Reads YAML, and JSON, which is YAML too. Texts stay as typed: `007` is not a number, and `no` is not false. */
export async function readYaml(text: string): Promise<Tree> {
  const yaml = await import('yaml');
  try {
    const document = yaml.parseDocument(text, {
      schema: 'failsafe',
      prettyErrors: false,
      // Reported by the caller, who knows what the keys are.
      uniqueKeys: false,
    });
    // The library catches it, and continues with what it can make of the rest.
    if (document.errors.some(isStackFull)) throw new RangeError(TOO_DEEP);
    const problems = document.errors.map(({pos: [at], code, message}): Problem => {
      const sentence = message.replace(/\.?$/, '.');
      return {at, message: code === 'MULTIPLE_DOCS' ? 'A second document begins; a file holds one.' : sentence};
    });
    const {contents} = document;
    if (contents === null) return {root: undefined, problems};
    return {root: new Reading(yaml, problems).read(contents), problems};
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return {root: undefined, problems: [{at: 0, message: isStackFull(error) ? TOO_DEEP : error.message}]};
  }
}

/** Converts the library's nodes to ours. A node with several aliases is read once. */
class Reading {
  private readonly known = new Map<Yaml.Node, Node | 'reading'>();
  private readonly anchors = new Map<string, Yaml.Node>();
  private merged = 0;

  constructor(
    private readonly yaml: typeof Yaml,
    private readonly problems: Problem[],
  ) {}

  read(node: Yaml.Node): Node {
    if (this.yaml.isAlias(node)) return this.readAlias(node);
    const at = startOf(node);
    const {tag, anchor} = node as {tag?: string; anchor?: string};
    if (anchor !== undefined) this.anchors.set(anchor, node);
    if (tag !== undefined && !TAGS.has(tag)) this.problems.push({at, message: `The tag '${tag}' has no meaning here.`});
    if (this.yaml.isScalar(node)) return this.readScalar(node, at);
    const known = this.known.get(node);
    if (known === 'reading') {
      this.problems.push({at, message: 'It holds itself.'});
      return {kind: 'list', items: [], at};
    }
    if (known !== undefined) return known;
    this.known.set(node, 'reading');
    const read: Node = this.yaml.isMap(node)
      ? this.readMap(node, at)
      : {kind: 'list', items: node.items.map((item) => this.readValue(item, at)), at};
    this.known.set(node, read);
    return read;
  }

  private readAlias(node: Yaml.Alias): Node {
    const target = this.anchors.get(node.source);
    if (target !== undefined) return this.read(target);
    this.problems.push({at: startOf(node), message: `No anchor '&${node.source}' comes before this alias.`});
    return quotedText('', startOf(node));
  }

  private readScalar(node: Yaml.Scalar, at: number): TextNode {
    const text = typeof node.value === 'string' ? node.value : '';
    return node.type === 'PLAIN' || node.type === undefined ? plainText(text, at) : quotedText(text, at);
  }

  /** @param otherwise the position to use if there is no value */
  private readValue(value: unknown, otherwise: number): Node {
    return this.yaml.isNode(value) ? this.read(value) : plainText('', otherwise);
  }

  private readMap(map: Yaml.YAMLMap, at: number): MapNode {
    const own: [TextNode, Node][] = [];
    const sources: MapNode[] = [];
    for (const {key, value} of map.items) {
      const name = this.readValue(key, at);
      if (name.kind !== 'text') {
        this.problems.push({at: name.at, message: 'A name has to be a text.'});
        continue;
      }
      const node = this.readValue(value, name.at);
      if (this.isMergeKey(key)) sources.push(...this.toSources(node));
      else own.push([name, node]);
    }
    return {kind: 'map', entries: sources.length === 0 ? own : this.merge(own, sources), at};
  }

  private isMergeKey(key: unknown): boolean {
    return this.yaml.isScalar(key) && key.type === 'PLAIN' && key.value === '<<';
  }

  private toSources(node: Node): MapNode[] {
    const nodes = node.kind === 'list' ? node.items : [node];
    return nodes.filter((one): one is MapNode => {
      if (one.kind !== 'map') this.problems.push({at: one.at, message: 'A merge key (<<) takes a map of fields.'});
      return one.kind === 'map';
    });
  }

  /** The map's own entries come first, then those of its sources, in order. */
  private merge(own: [TextNode, Node][], sources: readonly MapNode[]): [TextNode, Node][] {
    const names = new Set(own.map(([{text}]) => text));
    for (const {entries} of sources) {
      for (const entry of entries) {
        if (++this.merged > MOST_MERGED) throw new RangeError(TOO_MUCH);
        const [{text}] = entry;
        if (names.has(text)) continue;
        names.add(text);
        own.push(entry as [TextNode, Node]);
      }
    }
    return own;
  }
}

function isStackFull({message}: Error): boolean {
  return message.includes('call stack');
}

function startOf({range}: Yaml.Node): number {
  return range?.[0] ?? 0;
}
