// The measurements as Markdown.

const GROUPS = {
  start: {
    title: 'Start-up',
    text: 'One command as one process, with a Redis on a local socket.',
  },
  list: {
    title: 'Lists',
    text: '`redis-cli --scan` prints the keys of the budgets as they come, in steps of ten keys, and reads no value.',
  },
  spending: {
    title: 'Spending',
    text:
      'Before each recording, one session in a hundred has spent something; the report is of a month in which each session spends every ' +
      'day.',
  },
  change: {
    title: 'Batches',
    text:
      'A reset waits a tenth of a second at its end, to look whether spending has come back. `redis-cli --pipe` is told the IDs, as is ' +
      '`--stdin`; `--all` has to find them first.',
  },
  renew: {
    title: 'Renewals',
    text: 'Each session has a period beside its budget and its spending.',
  },
};

export function formatReport(rows, {line, date, node, redis, cpus, platform}) {
  return `# Benchmarks

Measured on ${date} with Node ${node} and Redis ${redis} on ${cpus} CPUs (${platform}), by
\`${line}\`.

The package is packed, and installed with \`npm install --global\`. Each figure is of whole processes, from their start to
their end, with output to nowhere: the median of the runs, the smallest and the largest in brackets. Ratios are of two
runs that followed one another, so they say more than the seconds, which are this machine's; peak memory is the largest
of all runs. \`NODE_EXTRA_CA_CERTS\` is not set, because with it Node 20 parses the certificates at every start,
\`node -e 0\` included.

A ratio of 2 means: twice as long as the program beside it, which does only the Redis part of that work.

${formatTables(rows)}
`;
}

export function formatTables(rows) {
  return Object.entries(GROUPS)
    .map(([group, {title, text}]) => [title, text, rows.filter((row) => row.group === group)])
    .filter(([, , chosen]) => chosen.length > 0)
    .map(([title, text, chosen]) => `## ${title}\n\n${text}\n\n${formatTable(chosen)}`)
    .join('\n\n');
}

function formatTable(rows) {
  const columns = {
    sessions: ({count}) => (count === undefined ? undefined : count.toLocaleString('en')),
    command: ({what}) => what,
    'beside it': ({against}) => against,
    ratio: ({ratio}) => `**${formatNumber(ratio.median)}** (${formatNumber(ratio.min)}–${formatNumber(ratio.max)})`,
    seconds: ({ours}) => formatSpread(ours.seconds),
    'its seconds': ({theirs}) => formatSpread(theirs.seconds),
    'CPU seconds': ({ours}) => formatNumber(ours.cpuSeconds),
    'peak MiB': ({ours}) => formatNumber(ours.peakMiB, 0),
    'its peak MiB': ({theirs}) => formatNumber(theirs.peakMiB, 0),
  };
  const cells = Object.entries(columns)
    .map(([title, cell]) => [title, ...rows.map(cell)])
    // A value that could not be measured here, or means nothing in this table, has no column.
    .filter(([, ...texts]) => texts.some((text) => text !== undefined))
    .map((texts) => pad(texts.map((text) => text ?? '')));
  const lines = rows.map((_, index) => cells.map((column) => column[index + 1]));
  const header = cells.map(([title]) => title);
  const rule = header.map((title) => '-'.repeat(title.length));
  return [header, rule, ...lines].map((line) => `| ${line.join(' | ')} |`).join('\n');
}

function pad(texts) {
  const width = Math.max(...texts.map(({length}) => length));
  return texts.map((text) => text.padEnd(width));
}

function formatSpread({median, min, max}) {
  return `${formatNumber(median)} (${formatNumber(min)}–${formatNumber(max)})`;
}

function formatNumber(value, decimals = value < 0.1 ? 3 : value < 10 ? 2 : 1) {
  return Number.isNaN(value) ? undefined : value.toFixed(decimals);
}
