import {raise} from '../data.mjs';

const LIST = ['list-sessions', '--format', 'json'];
const RESET = ['reset-session', '--all', '--yes', '--quiet'];
const APPLY = ['apply-budgets', '--yes', '--quiet', '-f'];

export default {
  title: 'Budget files',
  text: 'The file has a line for each session. A reset looks for half a second at its end whether spending has come back.',
  names: ['budgets-diff', 'budgets-same', 'budgets-all'],
  async measure({server, meter, data, measure}) {
    const {files, keys, first} = data;
    const list = {
      over: 'TCP',
      against: '`tokengate list-sessions --format json`',
      prepare: () => server.load(data),
      theirs: () => meter.tokengate(LIST),
    };
    await measure({
      name: 'budgets-diff',
      what: '`diff-budgets`, all differ',
      ...list,
      ours: () => meter.tokengate(['diff-budgets', '-f', files.raised], {wanted: 2}),
    });
    await measure({
      name: 'budgets-same',
      what: '`apply-budgets`, nothing differs',
      ...list,
      ours: () => meter.tokengate([...APPLY, files.listed]),
    });
    const changing = async (args, leaves) => {
      await server.load(data);
      const usage = await meter.tokengate(args);
      const left = await server.countKeys();
      if (left !== leaves) throw new Error(`${args[0]} has left ${left} keys in place of ${leaves}.`);
      return usage;
    };
    await measure({
      name: 'budgets-all',
      what: '`apply-budgets`, all differ',
      over: 'TCP',
      against: '`reset-session --all`',
      async ours() {
        const usage = await changing([...APPLY, files.raised], keys);
        const budget = await server.send('GET', `session:${first.id}:budget`);
        if (budget !== raise(first.budget)) throw new Error(`The budget of ${first.id} is ${budget}.`);
        return usage;
      },
      theirs: () => changing(RESET, 0),
    });
  },
};
