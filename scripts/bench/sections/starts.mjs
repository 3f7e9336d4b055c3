import {mkdtempSync} from 'node:fs';
import {join} from 'node:path';

import {makeData} from '../data.mjs';

const SESSION = 'start-up';
const PLACES = ['TCP', 'socket'];
const ALONE = [
  ['help', ['--help']],
  ['help-command', ['help', 'set-budget']],
  ['version', ['--version']],
];
const TABS = {
  'tab-command': {line: 'tokengate get-b', what: 'a TAB after `tokengate get-b`'},
  'tab-session': {
    line: 'tokengate get-budget sta',
    what: 'a TAB after `tokengate get-budget sta`, which asks Redis',
    over: 'TCP',
  },
};

export default {
  title: 'Start-up',
  text: 'One command as one process. A first run is one without kept code, as in a container.',
  async measure({server, meter, measure}) {
    const against = '`node -e 0`';
    const theirs = () => meter.node(['-e', '0']);
    await server.load(makeData(1, server.folder));
    await server.send('SET', `session:${SESSION}:budget`, '10.0');
    const commands = {
      health: ['health'],
      'get-budget': ['get-budget', SESSION],
      'set-budget': ['set-budget', SESSION, '25.50'],
    };
    const asking = Object.entries(commands).flatMap(([name, args]) => PLACES.map((over) => [name, args, over]));
    for (const [name, args, over] of [...asking, ...ALONE]) {
      const ours = () => meter.tokengate(args, {over});
      const what = `\`tokengate ${args[0] === 'help' ? 'help COMMAND' : args[0]}\``;
      await measure({name: `start-${name}`, what, over, against, ours, theirs, counted: {args, over}});
    }
    for (const [name, args, over] of [['get-budget', commands['get-budget'], 'TCP'], ALONE[0]]) {
      const ours = () => meter.tokengate(args, {over, env: {HOME: mkdtempSync(join(server.folder, 'home-'))}});
      await measure({
        name: `first-${name}`,
        what: `\`tokengate ${args[0]}\`, a first run`,
        over,
        against,
        ours,
        theirs,
      });
    }
    for (const [name, {line, what, over}] of Object.entries(TABS)) {
      const counted = {args: ['__complete', 'bash'], over, env: {TOKENGATE_COMPLETE_LINE: line}};
      const ours = () => meter.tokengate(counted.args, counted);
      await measure({name, what, over, against, ours, theirs, counted});
    }
  },
};
