import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll} from 'vitest';

import {type Output, run} from './program/run.js';
import type {TestRedis} from './redis/redis-server.js';

interface BudgetFiles {
  folder: string;
  /** Writes a file, and gives its path. */
  file: (text: string, name?: string) => Promise<string>;
  /** Runs a command on a file of these sessions. */
  onFile: (command: string, sessions: string, head?: string) => Promise<Output>;
  load: (budgets: Record<string, string>) => Promise<void>;
  budgetOf: (id: string) => Promise<string | null>;
}

/** Gives the tests of a file a folder for budgets as code, and ways to use those on a Redis. */
export function useBudgetFiles(redis: TestRedis): BudgetFiles {
  const files: BudgetFiles = {
    folder: '',
    file: async (text, name = 'budgets.yaml') => {
      const path = join(files.folder, name);
      await writeFile(path, text);
      return path;
    },
    onFile: async (command, sessions, head = '') =>
      run(`${command} -f ${await files.file(`version: 1\n${head}sessions:\n${sessions}`)}`, redis),
    load: async (budgets) => {
      for (const [id, budget] of Object.entries(budgets)) await redis.client.set(`session:${id}:budget`, budget);
    },
    budgetOf: (id) => redis.client.get(`session:${id}:budget`),
  };
  beforeAll(async () => {
    files.folder = await mkdtemp(join(tmpdir(), 'budgets-'));
  });
  afterAll(() => rm(files.folder, {recursive: true}));
  return files;
}
