import {RESP_FILES} from '../data.mjs';
import {addUp} from '../measure.mjs';

const SCAN = ['--scan', '--pattern', 'session:*:budget'];
const RESET_NAMED = ['reset-session', '--stdin', '--yes'];
const RESET = ['reset-session', '--all', '--yes'];
const FREEZE = ['freeze-session', '--all', '--for', '2h', '--reason', 'Benchmark', '--yes'];
const ONCE = '--no-second-look';
/** Words of a command that say nothing of what is measured. */
const UNSAID = ['--yes', '--for', '2h', '--reason', 'Benchmark'];

export default {
  title: 'Batches',
  text:
    'A reset looks for half a second at its end whether spending has come back, which `redis-cli` does not: the targets are ' +
    'for the work without that wait. `redis-cli --pipe` is told the IDs, as is `--stdin`; `--all` has to find them first.',
  names: [
    ...['reset-stdin', 'reset-stdin-once', 'reset-all', 'reset-all-once', 'reset-scan', 'reset-no-journal'],
    ...['reset-journal', 'freeze'],
  ],
  async measure({server, meter, data, measure}) {
    const {count, files, keys} = data;
    const pipe = (file, over) => ({
      against: `\`redis-cli --pipe\` with ${RESP_FILES[file].says}`,
      theirs: () => meter.redisPipe(files[file], over),
    });
    const rows = [
      {name: 'reset-stdin', command: RESET_NAMED, input: files.ids, ...pipe('reset')},
      {name: 'reset-stdin-once', command: [...RESET_NAMED, ONCE], input: files.ids, ...pipe('reset')},
      {name: 'reset-all', command: RESET, ...pipe('reset')},
      {name: 'reset-all-once', command: [...RESET, ONCE], ...pipe('reset')},
      {name: 'reset-all', command: RESET, over: 'socket', ...pipe('reset', 'socket')},
      {
        name: 'reset-scan',
        command: RESET,
        against: `\`redis-cli --scan\`, then \`--pipe\` with ${RESP_FILES.reset.says}`,
        theirs: async () => addUp(await meter.redisCli(SCAN), await meter.redisPipe(files.reset)),
      },
      {name: 'reset-no-journal', command: [...RESET, '--no-journal'], ...pipe('reset')},
      {
        name: 'reset-journal',
        command: RESET,
        against: 'the same with `--no-journal`',
        theirs: () => meter.tokengate([...RESET, '--no-journal']),
      },
      {name: 'freeze', command: FREEZE, leaves: keys + 2 * count, ...pipe('freeze')},
    ];
    for (const {name, command, input, over = 'TCP', leaves = 0, against, theirs} of rows) {
      const changing = async (change) => {
        await server.load(data);
        const usage = await change();
        const left = await server.countKeys();
        if (left !== leaves) throw new Error(`${name} has left ${left} keys in place of ${leaves}.`);
        return usage;
      };
      await measure({
        name,
        what: `\`${command.filter((word) => !UNSAID.includes(word)).join(' ')}\``,
        over,
        against,
        ours: () => changing(() => meter.tokengate(command, {input, over})),
        theirs: () => changing(theirs),
      });
    }
  },
};
