/** Other names of commands. They must not be the first word of another command. */
const SHORT: Record<string, string> = {
  changes: 'list-changes',
  explain: 'explain-session',
  freeze: 'freeze-session',
  list: 'list-sessions',
  log: 'list-changes',
  ls: 'list-sessions',
  metrics: 'print-metrics',
  ping: 'health',
  requests: 'list-requests',
  reset: 'reset-session',
  sessions: 'list-sessions',
  stats: 'anomaly-stats',
  status: 'health',
  top: 'watch-sessions',
  undo: 'undo-change',
  unfreeze: 'unfreeze-session',
  watch: 'watch-sessions',
};

/** The short names of a command, shortest first. */
export function shortNamesOf(command: string): string[] {
  const names = Object.keys(SHORT).filter((name) => SHORT[name] === command);
  return names.sort((a, b) => a.length - b.length);
}

/**
 * Finds the command that unknown words mean: `list sessions`, `session list`, `get budget`, `ls`. They are not oclif
 * aliases: each start would have to read those, and a CLI that loads this package would get them too.
 *
 * @returns its name, and how many words stand for it
 */
export function findSpelling(
  words: readonly string[],
  isCommand: (name: string) => boolean,
): {name: string; length: number} | undefined {
  const [first = '', second = ''] = words;
  if (isCommand(first)) return undefined;
  const orders = [
    [first, second],
    [second, first],
  ];
  const names = orders.flatMap(([a = '', b = '']) =>
    numbersOf(b).flatMap((noun) => numbersOf(a).map((verb) => `${verb}-${noun}`)),
  );
  const joined = /^[a-z]+$/.test(first) && /^[a-z]+$/.test(second) ? names.find(isCommand) : undefined;
  if (joined !== undefined) return {name: joined, length: 2};
  const short = Object.hasOwn(SHORT, first) ? SHORT[first] : undefined;
  return short !== undefined && isCommand(short) ? {name: short, length: 1} : undefined;
}

/** The word itself, its plural and its singular. */
function numbersOf(word: string): string[] {
  return [word, `${word}s`, word.replace(/s$/, '')];
}
