// The build's last step: makes dist, the files that are run and packed, from src and build.
import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';

import {makeBundle} from './bundle/make.mjs';
import {BUDGETS_SCHEMA, ROOT} from '../setup.mjs';

const {makeSchema} = await import('../../build/lib/budget-files/schema.js');
const files = {...(await makeBundle()), [BUDGETS_SCHEMA]: `${JSON.stringify(makeSchema(), null, 2)}\n`};
mkdirSync(join(ROOT, 'dist'), {recursive: true});
for (const [name, text] of Object.entries(files)) writeFileSync(join(ROOT, 'dist', name), text);
