// Checks that docs/development/dependencies.md gives a reason for each direct dependency.
import {readFileSync} from 'node:fs';
import {join} from 'node:path';

import {ROOT} from '../setup.mjs';

const {dependencies, devDependencies} = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const names = Object.keys({...dependencies, ...devDependencies});
const text = readFileSync(join(ROOT, 'docs/development/dependencies.md'), 'utf8');
const named = [...text.matchAll(/`(@?[a-z][\w.-]*(?:\/[\w.-]+)?|@types\/…)`/g)].map(([, name]) => name);
// Types are one line.
const missing = names.filter((name) => !named.includes(name.startsWith('@types/') ? '@types/…' : name));
if (missing.length > 0) console.error(`docs/development/dependencies.md has no reason for: ${missing.join(', ')}`);
process.exitCode = missing.length === 0 ? 0 : 1;
