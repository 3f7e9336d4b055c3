/** The shells whose command lines are parsed here. PowerShell parses its own. */
export type Dialect = 'posix' | 'fish';

/** The quote that is still open at the end of a word; `$'` exists in bash and zsh. */
export type Quote = '' | "'" | '"' | "$'";

export interface Word {
  /** The argument that the command would receive. Undefined where the shell inserts something unknown. */
  value: string | undefined;
  /** Where it begins in the line. */
  start: number;
  quote: Quote;
}

export interface CommandLine {
  /** The `NAME=value` assignments before the command. */
  variables: ReadonlyMap<string, string | undefined>;
  /** The words after the command's name, without the one at the cursor. */
  words: readonly Word[];
  /** The word at the cursor, empty if nothing of it is typed. */
  current: Word;
}

/**
 * Reads the last command of a line up to the cursor as a shell would, with quotes, escapes, variables and redirections.
 * Undefined at the command's name, and where a file name is expected.
 */
export function readCommandLine(
  line: string,
  dialect: Dialect,
  variableOf: (name: string) => string | undefined,
): CommandLine | undefined {
  const reader = new Reader(line, dialect, variableOf);
  const {words, isFile} = reader.read();
  const last = words.pop();
  if (last === undefined || isFile) return undefined;
  const variables = new Map<string, string | undefined>();
  for (;;) {
    const [first] = words;
    const [, name, value] = /^([A-Za-z_]\w*)=(.*)$/s.exec(first?.value ?? '') ?? [];
    if (name === undefined) break;
    variables.set(name, value);
    words.shift();
  }
  if (words.length === 0) return undefined;
  return {variables, words: words.slice(1), current: last};
}

const ANSI_C: Record<string, string> = {
  a: '\x07',
  b: '\b',
  e: '\x1b',
  E: '\x1b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

class Reader {
  private position = 0;
  private words: Word[] = [];
  private word: Word | undefined;
  /** True when the next word is the file of a redirection. */
  private isFile = false;

  constructor(
    private readonly line: string,
    private readonly dialect: Dialect,
    private readonly variableOf: (name: string) => string | undefined,
  ) {}

  /** All words; the last one is at the cursor. */
  read(): {words: Word[]; isFile: boolean} {
    while (this.position < this.line.length) this.readNext();
    const {isFile} = this;
    this.words.push(this.word ?? {value: '', start: this.line.length, quote: ''});
    return {words: this.words, isFile};
  }

  private readNext(): void {
    const rest = this.line.slice(this.position);
    const character = rest[0] ?? '';
    if (/\s/.test(character) && character !== '\n') {
      this.position++;
      this.endWord();
    } else if (/[|;&\n()]/.test(character)) {
      this.position++;
      this.restart();
    } else if (/[<>]/.test(character)) {
      // A word directly before it is the number of a stream.
      if (this.word !== undefined && /^(\d+|\^)$/.test(this.line.slice(this.word.start, this.position))) {
        this.word = undefined;
      }
      this.endWord();
      this.position += /^[<>]+[|&?]?/.exec(rest)?.[0].length ?? 1;
      this.isFile = true;
    } else if (character === "'" || character === '"' || (this.dialect === 'posix' && /^\$['"]/.test(rest))) {
      this.readQuoted(character === '$' ? (rest[1] === "'" ? "$'" : '"') : character, character === '$' ? 2 : 1);
    } else if (character === '\\') {
      this.readEscape(rest);
    } else if (character === '$' || character === '`') {
      this.readExpansion(rest);
    } else {
      this.add(character, 1);
    }
  }

  private readQuoted(quote: string, length: number): void {
    this.add('', length);
    const word = this.word;
    if (word === undefined) return;
    word.quote = quote as Quote;
    const end = quote === '"' ? '"' : "'";
    while (this.position < this.line.length) {
      const rest = this.line.slice(this.position);
      const character = rest[0] ?? '';
      if (character === end) {
        this.position++;
        word.quote = '';
        return;
      }
      if (quote === "$'" && character === '\\') this.readAnsiC(rest);
      else if (quote === '"' && character === '\\') this.readEscapeInQuotes(rest, /["$`\\]/);
      else if (quote === "'" && character === '\\' && this.dialect === 'fish') this.readEscapeInQuotes(rest, /['\\]/);
      else if (quote === '"' && (character === '$' || (character === '`' && this.dialect === 'posix'))) {
        this.readExpansion(rest);
        // An unfinished substitution contains a command of its own.
        if (this.word !== word) return;
      } else this.add(character, 1);
    }
  }

  private readEscape(rest: string): void {
    const escaped = rest[1];
    if (escaped === undefined) this.add('', 1);
    else if (escaped === '\n') this.position += 2;
    else if (this.dialect === 'fish' && /[abefnrtvxXuU0-7]/.test(escaped)) this.readAnsiC(rest);
    else this.add(escaped, 2);
  }

  private readEscapeInQuotes(rest: string, escapable: RegExp): void {
    const escaped = rest[1];
    if (escaped === '\n') this.position += 2;
    else if (escaped === undefined) this.add('', 1);
    else if (escapable.test(escaped)) this.add(escaped, 2);
    else this.add('\\', 1);
  }

  private readAnsiC(rest: string): void {
    const match = /^\\(?:[xX]([0-9a-f]{1,2})|u([0-9a-f]{1,4})|U([0-9a-f]{1,8})|([0-7]{1,3}))/i.exec(rest);
    const [all, hex, short, long, octal] = match ?? [];
    if (all !== undefined) {
      const code = parseInt(octal ?? hex ?? short ?? long ?? '', octal === undefined ? 16 : 8);
      // Above ASCII it may be one of several bytes.
      const isCharacter = code < 0x80 || (hex === undefined && octal === undefined && code <= 0x10_ffff);
      this.add(isCharacter ? String.fromCodePoint(code) : undefined, all.length);
      return;
    }
    const escaped = rest[1];
    if (escaped === undefined) this.add('', 1);
    else this.add(ANSI_C[escaped] ?? escaped, 2);
  }

  /** Inserts a variable whose value is known. Of any other expansion only the end is found. */
  private readExpansion(rest: string): void {
    const [simple, braced, name = braced] = /^\$(?:\{(\w+)\}|([A-Za-z_]\w*)(?!\[))/.exec(rest) ?? [];
    if (simple !== undefined && name !== undefined) {
      this.add(this.variableOf(name), simple.length);
      return;
    }
    const open = /^(?:\$[({]|`)/.exec(rest)?.[0];
    if (open === undefined) {
      // A dollar sign that means itself, or a special variable.
      const isPlain = !/^\$[\w!?*@#$-]/.test(rest);
      this.add(isPlain ? '$' : undefined, isPlain ? 1 : 2);
      return;
    }
    const end = findEnd(rest, open);
    if (end !== undefined) {
      this.add(undefined, end);
    } else {
      // The cursor is inside it.
      this.position += open.length;
      this.restart();
    }
  }

  private add(value: string | undefined, length: number): void {
    this.word ??= {value: '', start: this.position, quote: ''};
    this.word.value = this.word.value === undefined || value === undefined ? undefined : this.word.value + value;
    this.position += length;
  }

  private endWord(): void {
    if (this.word === undefined) return;
    if (this.isFile) this.isFile = false;
    else this.words.push(this.word);
    this.word = undefined;
  }

  private restart(): void {
    this.words = [];
    this.word = undefined;
    this.isFile = false;
  }
}

/** The length of a substitution, according to its brackets. */
function findEnd(text: string, open: string): number | undefined {
  if (open === '`') {
    const end = text.indexOf('`', 1);
    return end === -1 ? undefined : end + 1;
  }
  const [opening, closing] = open === '${' ? ['{', '}'] : ['(', ')'];
  let depth = 0;
  let quote = '';
  for (let index = 1; index < text.length; index++) {
    const character = text[index] ?? '';
    if (character === '\\' && quote !== "'") index++;
    else if (quote !== '') quote = character === quote ? '' : quote;
    else if (character === "'" || character === '"') quote = character;
    else if (character === opening) depth++;
    else if (character === closing && --depth === 0) return index + 1;
  }
  return undefined;
}
