// What bin/run.js starts for one TAB.
import table from 'tokengate:completion-table';

import {main} from '../../../src/cli/completion/main.js';

main(table);
