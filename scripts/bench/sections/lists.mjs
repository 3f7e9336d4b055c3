import {MANY} from '../data.mjs';
import {addUp} from '../measure.mjs';

const FORMATS = ['table', 'json', 'ndjson', 'csv', 'ids'];
const SCAN = ['--scan', '--pattern', 'session:*:budget'];
/** What so few sessions take is a start, more than a list. */
const FEW = 1000;

export default {
  title: 'Lists',
  text: '`redis-cli --scan` prints the keys of the budgets as they come, in steps of ten keys, and reads no value.',
  names: [...FORMATS, 'sort', 'reads', 'start'].map((name) => `list-${name}`),
  async measure({server, meter, data, measure}) {
    const {count, files} = data;
    await server.load(data);
    const list = (args, over = 'TCP') => ({
      what: `\`list-sessions ${args.join(' ')}\``,
      over,
      ours: () => meter.tokengate(['list-sessions', ...args], {over}),
    });
    const scan = (over = 'TCP') => ({against: '`redis-cli --scan`', theirs: () => meter.redisCli(SCAN, over)});
    if (count > MANY) {
      await measure({name: 'list-ndjson', ...list(['--format', 'ndjson']), ...scan()});
      return;
    }
    for (const format of FORMATS) {
      await measure({name: `list-${format}`, ...list(['--format', format]), ...scan()});
    }
    const ndjson = ['--format', 'ndjson'];
    await measure({name: 'list-ndjson', ...list(ndjson, 'socket'), ...scan('socket')});
    await measure({name: 'list-sort', ...list(['--sort', 'used', ...ndjson]), ...scan()});
    await measure({
      name: 'list-reads',
      ...list(ndjson),
      against: '`redis-cli --scan`, then `--pipe` with two `GET`s a session',
      theirs: async () => addUp(await meter.redisCli(SCAN), await meter.redisPipe(files.read)),
    });
    if (count > FEW) return;
    await measure({
      name: 'list-start',
      ...list(ndjson),
      against: '`node -e 0`',
      theirs: () => meter.node(['-e', '0']),
      counted: {args: ['list-sessions', ...ndjson], over: 'TCP'},
    });
  },
};
