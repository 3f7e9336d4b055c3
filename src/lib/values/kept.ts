/** How many results are kept at a time. */
const MOST = 1000;

/** Keeps the results for the latest texts: many sessions hold the same few. Results are shared, so nobody may change them. */
export function keptByText<V>(compute: (text: string) => V): (text: string) => V {
  const known = new Map<string, V>();
  return (text) => {
    const found = known.get(text);
    if (found !== undefined) return found;
    const value = compute(text);
    if (known.size >= MOST) known.clear();
    known.set(text, value);
    return value;
  };
}
