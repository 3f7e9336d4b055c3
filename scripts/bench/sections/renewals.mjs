import {addUp} from '../measure.mjs';

const RENEW = ['renew-budgets', '--quiet'];
const RESET = ['reset-session', '--all', '--keep-budget', '--yes', '--quiet'];

export default {
  title: 'Renewals',
  text: 'Each session has a period beside its budget and its spending. The last second of a renewal, and half a second of the\nreset, is the wait until the last session is looked at again.',
  names: ['renew-nothing', 'renew-all', 'renew-all-once'],
  async measure({server, meter, data, measure}) {
    const {count, files} = data;
    await measure({
      name: 'renew-nothing',
      what: '`renew-budgets`, nothing is due',
      over: 'TCP',
      against: '`redis-cli --scan`, then `--pipe` with a `GET` a period',
      async prepare() {
        await server.load(data);
        await server.feed(files.current);
      },
      ours: () => meter.tokengate(RENEW),
      theirs: async () =>
        addUp(
          await meter.redisCli(['--scan', '--pattern', 'tokengate:period:*']),
          await meter.redisPipe(files.readPeriods),
        ),
    });
    const changing = async (args) => {
      await server.load(data);
      await server.feed(files.periods);
      const usage = await meter.tokengate(args);
      const left = await server.countKeys();
      // Budgets and periods.
      if (left !== 2 * count) throw new Error(`${args[0]} has left ${left} keys in place of ${2 * count}.`);
      return usage;
    };
    for (const [name, ...more] of [['renew-all'], ['renew-all-once', '--no-second-look']]) {
      const words = more.map((word) => ` ${word}`).join('');
      await measure({
        name,
        what: `\`renew-budgets${words}\`, all are due`,
        over: 'TCP',
        against: `\`reset-session --all --keep-budget${words}\``,
        ours: () => changing([...RENEW, ...more]),
        theirs: () => changing([...RESET, ...more]),
      });
    }
  },
};
