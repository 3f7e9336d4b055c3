/** Results that are kept at a time. */
const MOST = 1000;

/** Keeps what was computed of a text: of many sessions most hold one of a few. What is given is shared, so nobody changes it. */
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
