import {chmod, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import type {TestRedis} from '../redis/redis-server.js';
import {BIN, NODE, type Output, runProcess} from './run.js';

export interface Shell {
  /** The working directory, and the home directory, of the commands. */
  readonly folder: string;
  /** Runs a script in bash, with `tokengate` on PATH as an installation puts it there. */
  run(script: string, options: {url?: string; env?: Record<string, string>}): Promise<Output>;
  /** Removes its files. */
  remove(): Promise<void>;
}

export async function makeShell(): Promise<Shell> {
  const folder = await mkdtemp(join(tmpdir(), 'tokengate-shell-'));
  const launcher = join(folder, 'tokengate');
  await writeFile(launcher, `#!/bin/sh\nexec '${NODE}' '${BIN}' "$@"\n`);
  await chmod(launcher, 0o755);
  return {
    folder,
    run: (script, {url, env = {}}) =>
      runProcess('bash', ['-c', script], {
        url,
        cwd: folder,
        env: {
          HOME: folder,
          XDG_CONFIG_HOME: join(folder, '.config'),
          PATH: `${folder}:${process.env['PATH'] ?? ''}`,
          ...env,
        },
      }),
    remove: () => rm(folder, {recursive: true, force: true}),
  };
}

/** A session as the gateway leaves it: the budget, then the spending if it has had a request. */
export async function loadSessions({client}: TestRedis, sessions: Record<string, readonly string[]>): Promise<void> {
  for (const [id, [budget = '', spent]] of Object.entries(sessions)) {
    await client.set(`session:${id}:budget`, budget);
    if (spent !== undefined) await client.set(`session:${id}:spent`, spent);
  }
}
