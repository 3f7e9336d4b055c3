// The measurements as Markdown.

export function formatReport(sections, rows, {line, date, node, redis, machine, load, counter}) {
  return `# Benchmarks

Measured on ${date} with Node ${node} and Redis ${redis} on ${machine}, by
\`${line}\`. On average ${load[0]} processes wanted a CPU in the minute before it, and ${load[1]} in its last minute.

The package is packed, and installed with \`npm install --global\`. Each figure is of whole processes, from their start to
their end, with output to nowhere: the median of the runs, the smallest and the largest in brackets. Ratios are of two
runs that followed one another, so they say more than the seconds, which are this machine's; peak memory is the largest
of all runs. \`NODE_EXTRA_CA_CERTS\` is not set, because with it Node 20 parses the certificates at every start,
\`node -e 0\` included.

A ratio of 2 means: twice as long as the program beside it, which does only the Redis part of that work. A target is what
the project wants of that ratio, an aim what it hopes for.${explainCounter(counter)}

${formatTables(sections, rows)}
`;
}

function explainCounter(counter) {
  return counter === undefined
    ? ''
    : ` Instructions are millions in user space, counted by ${counter} in one run: from run to run they move by about
five in a hundred, where a time on a busy machine moves by half.`;
}

export function formatTables(sections, rows) {
  return sections
    .map(({title, text}, index) => [title, text, rows.filter(({section}) => section === sections[index])])
    .filter(([, , chosen]) => chosen.length > 0)
    .map(([title, text, chosen]) => `## ${title}\n\n${text}\n\n${formatTable(chosen)}`)
    .join('\n\n');
}

function formatTable(rows) {
  const columns = {
    sessions: ({count}) => (count === undefined ? undefined : count.toLocaleString('en')),
    command: ({what}) => what,
    over: ({over}) => over,
    'beside it': ({against}) => against,
    ratio: ({ratio}) => `**${formatNumber(ratio.median)}** (${formatNumber(ratio.min)}–${formatNumber(ratio.max)})`,
    target: ({target}) => target && formatTarget(target),
    instructions: ({instructions}) => instructions && formatNumber(instructions / 1e6, 0),
    'its instructions': ({theirInstructions}) => theirInstructions && formatNumber(theirInstructions / 1e6, 0),
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

function formatTarget({ratio, aim, peakMiB}) {
  if (ratio === undefined) return `${peakMiB} MiB`;
  return aim === undefined ? String(ratio) : `${ratio}, aim ${aim}`;
}

function formatSpread({median, min, max}) {
  return `${formatNumber(median)} (${formatNumber(min)}–${formatNumber(max)})`;
}

function formatNumber(value, decimals = value < 0.1 ? 3 : value < 10 ? 2 : 1) {
  return Number.isNaN(value) ? undefined : value.toFixed(decimals);
}
