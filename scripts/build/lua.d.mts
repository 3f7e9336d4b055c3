export interface Line {
  file: string;
  line: number;
  text: string;
}

export function listScripts(): string[];
export function joinScript(name: string): Line[];
export function joinText(source: string, file: string): Line[];
export function strip(lines: readonly Line[]): string;
