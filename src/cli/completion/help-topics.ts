/** Pages of the help that are about no single command. */
export const TOPICS: Readonly<Record<string, string>> = {
  commands: 'Every command with its short names',
  flags: 'Flags that every command takes, such as --redis-url',
  environment: 'Environment variables',
  'exit-codes': 'Exit codes',
};
