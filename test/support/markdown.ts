import type {Output} from './program/run.js';

/** A fenced block. */
export interface Block {
  language: string;
  text: string;
  /** The nearest heading above it. */
  heading: string;
}

export function findBlocks(markdown: string): Block[] {
  const blocks: Block[] = [];
  let heading = '';
  let block: Block | undefined;
  for (const line of markdown.split('\n')) {
    if (block !== undefined) {
      if (line === '```') block = undefined;
      else block.text += `${line}\n`;
    } else if (line.startsWith('```')) {
      block = {language: line.slice(3), text: '', heading};
      blocks.push(block);
    } else {
      heading = /^#+ (.*)/.exec(line)?.[1] ?? heading;
    }
  }
  return blocks;
}

/** The file name in its first line, and the text. */
export function scriptOf({language, text}: Block): [string, string][] {
  const name = /^# ([\w-]+\.(?:sh|py))\n/.exec(text)?.[1];
  return name !== undefined && ['bash', 'python'].includes(language) ? [[name, text]] : [];
}

/** Runs the commands of a console block in one bash, and shows them with their output. */
export async function runConsole(block: string, run: (script: string) => Promise<Output>): Promise<string> {
  const commands = block.split('\n').flatMap((line) => (line.startsWith('$ ') ? [line.slice(2)] : []));
  // A NUL ends the output of a command, and `$?` stays as the command left it.
  const script = commands.map((command) => `${command}\nstatus=$?; printf '\\0'; (exit $status)\n`);
  const {stdout} = await run(`exec 2>&1\n${script.join('')}`);
  const outputs = stdout.split('\0');
  return commands.map((command, index) => `$ ${command}\n${outputs[index] ?? ''}`).join('');
}

/** The text without anything that differs between runs and machines. */
export function neutral(text: string): string {
  return text
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d( UTC)?/g, '<time>')
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d/g, '<local time>')
    .replaceAll(/^Recorded \d{4}-\d\d-\d\d.* gap .*$/gm, 'Recorded <coverage>')
    .replaceAll(/(\d+[dhms]+)*( \()?\d{4}-\d\d-\d\d \d\d:\d\d [+-]\d\d:\d\d/g, '$2<local time>')
    .replaceAll(/\b[0-9a-hjkmnp-tv-z]{10}\b/g, '<change>')
    .replaceAll(/^Version: \d+\.\d+\.\d+$/gm, 'Version: <version>')
    .replaceAll(/^Latency: \d+\.\d ms$/gm, 'Latency: <latency>')
    .replaceAll(/\S+\/\.config\/tokengate\/config\.yaml/g, '<context file>')
    .replaceAll(/\b(localhost|127\.0\.0\.1|prod-redis|staging-redis):\d+/g, '<address>');
}

/** The variables and the commands of a crontab. */
export function parseCrontab(text: string): {variables: Record<string, string>; commands: string[]} {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const variables = lines.flatMap((line) => {
    const [, name = '', value = ''] = /^([A-Z_]+)=(.*)$/.exec(line) ?? [];
    return name === '' ? [] : [[name, value] as const];
  });
  const commands = lines.flatMap((line) => /^(?:[\d*/]+ ){5}(.*)$/.exec(line)?.[1] ?? []);
  // Any other line would be ignored silently.
  if (variables.length + commands.length !== lines.length) throw new Error(`not all read:\n${text}`);
  return {variables: Object.fromEntries(variables), commands};
}
