import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {beforeEach, onTestFinished} from 'vitest';

import {run} from './program/run.js';

export const CONTEXTS = `default: staging
contexts:
  staging: {redis-url: 'redis://staging:6379/2'} # for everybody
  prod: {redis-url-file: secrets/prod, protected: true, color: red}
  audit: {redis-url-command: [op, read, 'op://ops/redis'], read-only: true}
`;

interface ContextFile {
  folder: string;
  path: string;
  read: () => Promise<string>;
  /** Runs a command line with this file. */
  run: (line: string, env?: Record<string, string>) => ReturnType<typeof run>;
  /** What `list-contexts` says of the context in effect. */
  inEffect: (line: string, env?: Record<string, string>) => Promise<string>;
}

/** Gives each test of a file a context file of its own, with CONTEXTS in it. */
export function useContextFile(): ContextFile {
  const file: ContextFile = {
    folder: '',
    path: '',
    read: () => readFile(file.path, 'utf8'),
    run: (line, env = {}) => run(line, {env: {TOKENGATE_CONFIG: file.path, ...env}}),
    inEffect: async (line, env) => {
      const {stdout} = await file.run(line, env);
      return /^In effect: (.*)$/m.exec(stdout)?.[1] ?? stdout;
    },
  };
  beforeEach(async () => {
    file.folder = await mkdtemp(join(tmpdir(), 'tokengate-contexts-'));
    onTestFinished(() => rm(file.folder, {recursive: true}));
    file.path = join(file.folder, 'config.yaml');
    await writeFile(file.path, CONTEXTS, {mode: 0o600});
  });
  return file;
}
