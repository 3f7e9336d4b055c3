/** Splits a list into groups of so many, the last of which may be smaller. */
export function inGroups<T>(list: readonly T[], size: number): T[][] {
  const groups: T[][] = [];
  for (let first = 0; first < list.length; first += size) groups.push(list.slice(first, first + size));
  return groups;
}
