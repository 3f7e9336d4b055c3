// The build's first step: writes src to build, file by file, of which the later steps read the commands. Types are not
// checked. Files that are overwritten are not removed before: someone may be running them at this moment.
import {rmSync} from 'node:fs';
import {join} from 'node:path';

import * as esbuild from 'esbuild';

import {ROOT, sourceFiles, strayFiles} from '../setup.mjs';

for (const file of strayFiles()) rmSync(join(ROOT, file));
await esbuild.build({
  absWorkingDir: ROOT,
  entryPoints: sourceFiles(),
  logLevel: 'warning',
  outbase: 'src',
  outdir: 'build',
});
