import {execFileSync} from 'node:child_process';

import {ROOT} from './root.js';

/** Makes the tests of the built program run on the present `src`. Does nothing if the build is newer. */
export default function build(): void {
  execFileSync(process.execPath, ['--input-type=module', '-e', "import {build} from './scripts/setup.mjs'; build();"], {
    cwd: ROOT,
    stdio: 'inherit',
  });
}
