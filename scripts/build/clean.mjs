// The build's first step. It leaves what tsc will overwrite, since someone may be running that at this moment.
import {rmSync} from 'node:fs';
import {join} from 'node:path';

import {ROOT, strayFiles} from '../setup.mjs';

for (const file of strayFiles()) rmSync(join(ROOT, file));
