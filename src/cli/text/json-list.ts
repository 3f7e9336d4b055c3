/**
 * A JSON list, piece by piece and without the end of its last line, of elements that are JSON already. `indent` is the
 * indentation of an element.
 */
export async function* jsonList(pages: AsyncIterable<readonly string[]>, indent: string): AsyncGenerator<string> {
  let separator = '';
  yield '[';
  for await (const page of pages) {
    let text = '';
    for (const element of page) {
      text += `${separator}\n${indent}${element}`;
      separator = ',';
    }
    yield text;
  }
  yield separator === '' ? ']' : `\n${indent.slice(2)}]`;
}
