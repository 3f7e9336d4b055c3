type Render = (text: string) => string;

/**
 * Fills in the names that the texts of the commands use. oclif gives each text to ejs, many of them three times, and ejs
 * compiles each. What is more than a name is left to it.
 */
export function renderNames(names: Readonly<Record<string, string>>, renderOthers: Render): Render {
  return (text) => {
    const filled = text.replace(/<%= ([\w.]+) %>/g, (tag, name: string) => names[name] ?? tag);
    return /<%|%>/.test(filled) ? renderOthers(filled) : filled;
  };
}

/** What oclif does by `wrap-ansi`, for a text of which each line is of printable ASCII and fits; undefined for others. */
export function wrapAscii(text: string, columns: number): string | undefined {
  if (!/^[\n -~]*$/.test(text)) return undefined;
  const lines = text.split('\n').map((line) => line.trim());
  return lines.every((line) => line.length <= columns) ? lines.join('\n') : undefined;
}
