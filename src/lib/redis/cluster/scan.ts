import {setTimeout as sleep} from 'node:timers/promises';

import {TokengateError} from '../../values/errors.js';
import {matchesGlob} from '../../values/glob.js';
import {type Command, ErrorReply} from '../contract.js';
import {scanServer} from '../scan-server.js';
import type {Endpoint} from '../url.js';
import {type ClusterNodes, GONE} from './nodes.js';
import {type OwnSlots, parseOwnSlots, SLOTS} from './slots.js';

/** The slots of one node that are scanned together. */
interface ScanPart {
  pattern: string;
  slots: readonly number[];
  /** Collects the slots whose keys have all been seen. */
  seen: Set<number>;
  /** The time limit of the next answer. */
  by: () => number;
}

/** Up to this many slots of a node are read one by one; above it, the node is scanned again. */
const FEW_SLOTS = 512;
/** How many times to look again at slots that moved during a scan. */
const ROUNDS = 20;
/** The pause between two rounds. */
const PAUSE_MS = 50;

/**
 * Keys that match a pattern, page by page, from all primaries: SCAN on one node shows only that node's keys. A key may
 * come twice. A key that exists all the time is found even if its slot moves or its node is replaced meanwhile; where
 * that is not certain, `doubts` says so.
 *
 * @throws TokengateError when a node is gone, and no other replaces it within the time for an answer
 */
export async function* scanCluster(nodes: ClusterNodes, pattern: string): AsyncGenerator<Buffer[], void, void> {
  const seen = new Set<number>();
  /** When to stop waiting for a node that is gone. */
  let giveUpAt = Infinity;
  const by = (): number => Math.min(nodes.limit(), giveUpAt);
  const failed = new Set<string>();
  /** Returns the reason when a node is gone. */
  const orGone = async function* (
    name: string,
    pages: AsyncIterable<Buffer[]>,
  ): AsyncGenerator<Buffer[], TokengateError | undefined, void> {
    try {
      for await (const page of pages) {
        // As long as other nodes go on, there is time.
        if (giveUpAt < Infinity && !failed.has(name)) giveUpAt = performance.now() + nodes.timeoutMs;
        yield page;
      }
    } catch (error) {
      if (!(error instanceof TokengateError) || !GONE.has(error.code)) throw error;
      failed.add(name);
      giveUpAt = Math.min(giveUpAt, performance.now() + nodes.timeoutMs);
      return error;
    }
    return undefined;
  };
  let left = Array.from({length: SLOTS}, (_, slot) => slot);
  let firstGone: TokengateError | undefined;
  for (let round = 0; round < ROUNDS;) {
    let gone: TokengateError | undefined;
    const owners = new Map<string, number[]>();
    for (const slot of left) {
      const owner = nodes.map.owners[slot] ?? '';
      const slots = owners.get(owner);
      if (slots === undefined) owners.set(owner, [slot]);
      else slots.push(slot);
    }
    const few: number[] = [];
    for (const [owner, slots] of owners) {
      const endpoint = nodes.map.primaries.get(owner)?.endpoint;
      if (endpoint === undefined || (round > 0 && slots.length <= FEW_SLOTS)) few.push(...slots);
      else gone = (yield* orGone(owner, scanNode(nodes, endpoint, {pattern, slots, seen, by}))) ?? gone;
    }
    if (few.length > 0) {
      gone = (yield* orGone('', readSlots(nodes, {pattern, slots: few.slice(0, FEW_SLOTS), seen, by}))) ?? gone;
    }
    left = left.filter((slot) => !seen.has(slot));
    if (left.length === 0) return;
    if (gone === undefined) {
      round++;
      giveUpAt = Infinity;
    } else if (performance.now() + PAUSE_MS >= giveUpAt) throw firstGone ?? gone;
    firstGone = gone && (firstGone ?? gone);
    await sleep(PAUSE_MS);
    await nodes.refresh(by());
  }
  const what = `keys of ${left.length} of the cluster's ${SLOTS} slots`;
  nodes.doubts.add(`The list could be incomplete: ${what} are being moved, or no node serves them.`);
}

/** Scans one node, and adds to `seen` those of its slots that it served all the time. */
async function* scanNode(
  nodes: ClusterNodes,
  endpoint: Endpoint,
  {pattern, slots, seen, by}: ScanPart,
): AsyncGenerator<Buffer[], void, void> {
  const before = await readOwnSlots(nodes, endpoint, by());
  const node = await nodes.nodeAt(endpoint, by());
  const ask = async (command: Command): Promise<unknown> => (await nodes.ask(node, [command], by(), true))[0];
  yield* scanServer({ask, explain: (reply) => node.explain(reply)}, pattern);
  const after = before && (await readOwnSlots(nodes, endpoint, by()));
  const isKnown = (own: OwnSlots, slot: number): boolean => own.owned.has(slot) && !own.leaving.has(slot);
  for (const slot of slots) {
    if (before === undefined || after === undefined || (isKnown(before, slot) && isKnown(after, slot))) seen.add(slot);
  }
}

/** Reads slots one by one: first where their keys come from, then where they go to, since keys only move that way. */
async function* readSlots(
  nodes: ClusterNodes,
  {pattern, slots, seen, by}: ScanPart,
): AsyncGenerator<Buffer[], void, void> {
  const glob = Buffer.from(pattern);
  const endpoints = [...nodes.map.primaries.values()].map(({endpoint}) => endpoint);
  const look = async (): Promise<(OwnSlots | undefined)[]> =>
    Promise.all(endpoints.map((endpoint) => readOwnSlots(nodes, endpoint, by())));
  const before = await look();
  const isSource = (own: OwnSlots | undefined, slot: number): boolean => own?.leaving.has(slot) === true;
  const isPlace = (own: OwnSlots | undefined, slot: number): boolean =>
    !isSource(own, slot) && (own?.owned.has(slot) === true || own?.arriving.has(slot) === true);
  for (const belongs of [isSource, isPlace]) {
    for (const [index, endpoint] of endpoints.entries()) {
      const some = slots.filter((slot) => belongs(before[index], slot));
      if (some.length > 0)
        yield (await readKeysIn(nodes, some, endpoint, by())).filter((key) => matchesGlob(glob, key));
    }
  }
  const after = await look();
  for (const slot of slots) {
    const wasThere = before.some((own) => isSource(own, slot) || isPlace(own, slot));
    const isThere = after.some((own) => isSource(own, slot) || isPlace(own, slot));
    // Keys have moved only in the known direction, if at all.
    const isAsKnown = after.every((own, index) => {
      if (isSource(own, slot)) return isSource(before[index], slot);
      return !isPlace(own, slot) || isPlace(before[index], slot);
    });
    if (wasThere && isThere && isAsKnown) seen.add(slot);
  }
}

/**
 * Undefined when this user may not ask.
 *
 * @throws TokengateError when the node is gone
 */
async function readOwnSlots(nodes: ClusterNodes, endpoint: Endpoint, by: number): Promise<OwnSlots | undefined> {
  const [reply] = await nodes.ask(await nodes.nodeAt(endpoint, by), [['CLUSTER', 'NODES']], by);
  if (typeof reply === 'string') return parseOwnSlots(reply);
  const {message} = nodes.seed.explain(reply as ErrorReply);
  nodes.doubts.add(`The list could be incomplete, if keys of the cluster were moved meanwhile: ${message}`);
  return undefined;
}

async function readKeysIn(
  nodes: ClusterNodes,
  slots: readonly number[],
  endpoint: Endpoint,
  by: number,
): Promise<Buffer[]> {
  const node = await nodes.nodeAt(endpoint, by);
  const read = async (commands: readonly Command[], bytes: boolean): Promise<unknown[]> => {
    const replies = await nodes.ask(node, commands, by, bytes);
    for (const reply of replies) if (reply instanceof ErrorReply) throw node.explain(reply);
    return replies;
  };
  const counts = await read(
    slots.map((slot) => ['CLUSTER', 'COUNTKEYSINSLOT', String(slot)]),
    false,
  );
  // Keys that are written meanwhile need not be seen; a key that is removed makes room for another on the page.
  const commands = slots.flatMap((slot, index): Command[] =>
    counts[index] === 0 ? [] : [['CLUSTER', 'GETKEYSINSLOT', String(slot), String(2 * Number(counts[index]) + 100)]],
  );
  return ((await read(commands, true)) as Buffer[][]).flat();
}
