import ListChanges from '../../../src/commands/list-changes.js';
import {runCommand} from '../program/run.js';
import type {TestRedis} from './redis-server.js';

export interface ChangeJson {
  change_id: string;
  at: string;
  actor: string;
  command: string;
  reason: string;
  version: string;
  undoes: string | null;
  undone_by: string | null;
  session_id: string;
  before: Record<string, unknown>;
  after: Record<string, unknown>;
}

/** The changes in the journal, as `list-changes --json` prints them. */
export async function changesOf(redis: TestRedis, ...argv: string[]): Promise<ChangeJson[]> {
  const {stdout, stderr, code} = await runCommand(ListChanges, ['--json', ...argv], redis);
  if (code !== 0 || stderr !== '') throw new Error(`list-changes: exit code ${code}\n${stderr}`);
  return JSON.parse(stdout) as ChangeJson[];
}

export async function lastChange(redis: TestRedis): Promise<string> {
  return (await changesOf(redis, '--limit', '1'))[0]!.change_id;
}

/** Makes all entries of the journal so much older, in milliseconds. */
export async function backdate(redis: TestRedis, age: number): Promise<void> {
  const entries = await redis.client.xRange('tokengate:journal', '-', '+');
  await redis.client.del('tokengate:journal');
  for (const [index, {id, message}] of entries!.entries()) {
    const at = Number(id.split('-')[0]) - age;
    const began = message['began'] === '' ? '' : String(Number(message['began']) - age);
    await redis.client.xAdd('tokengate:journal', `${at}-${index}`, {...message, began});
  }
}

export function isAbout(milliseconds: number): (value: unknown) => boolean {
  return (value) => typeof value === 'number' && value <= milliseconds && value > milliseconds - 60_000;
}
