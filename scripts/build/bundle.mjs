// The build's last step: makes dist, the files that are run and packed, from src.
import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';

import {makeBundle} from './bundle/make.mjs';
import {ROOT} from '../setup.mjs';

const files = await makeBundle();
mkdirSync(join(ROOT, 'dist'), {recursive: true});
for (const [name, text] of Object.entries(files)) writeFileSync(join(ROOT, 'dist', name), text);
