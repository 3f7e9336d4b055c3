import {LEDGER_MONTH, makeLedger} from '../data.mjs';

/** Sessions of a report, at most. */
const MOST_REPORTED = 10_000;

export default {
  title: 'Spending',
  text:
    'Before each recording, one session in a hundred has spent something; the report is of a month in which each session ' +
    'spends every day.',
  names: ['record', 'report'],
  async measure({server, meter, data, measure}) {
    const {count, files} = data;
    await measure({
      name: 'record',
      what: '`record-spending --quiet`',
      over: 'TCP',
      against: '`tokengate list-sessions --format ndjson`',
      async prepare() {
        await server.load(data);
        await meter.tokengate(['record-spending']);
      },
      async ours() {
        await meter.redisPipe(files.spend);
        return meter.tokengate(['record-spending', '--quiet']);
      },
      theirs: () => meter.tokengate(['list-sessions', '--format', 'ndjson']),
    });
    if (count > MOST_REPORTED) return;
    const {ledger, days} = makeLedger(count, server.folder);
    await measure({
      name: 'report',
      what: '`report-spending`, a month',
      over: 'TCP',
      against: '`redis-cli --pipe` with `HGETALL` of each day',
      async prepare() {
        await server.load(data);
        await meter.redisPipe(ledger);
      },
      ours: () => meter.tokengate(['report-spending', '--period', LEDGER_MONTH]),
      theirs: () => meter.redisPipe(days),
    });
  },
};
