// The build's first step. It keeps the files that tsc will overwrite: someone may be running them at this moment.
import {rmSync} from 'node:fs';
import {join} from 'node:path';

import {ROOT, strayFiles} from '../setup.mjs';

for (const file of strayFiles()) rmSync(join(ROOT, file));
