interface AnyFlag {
  name: string;
  helpGroup?: string | undefined;
}

/**
 * The flags that every command accepts, even before its name. `--yes` is one of them, though only some commands show
 * it.
 */
export function globalFlagsOf<F extends AnyFlag>(commands: readonly {flags: Record<string, F>}[]): F[] {
  const globals = new Map<string, F>();
  for (const {flags} of commands) {
    for (const flag of Object.values(flags))
      if (isGlobal(flag) && !globals.has(flag.name)) globals.set(flag.name, flag);
  }
  return [...globals.values()];
}

export function isGlobal({helpGroup}: AnyFlag): boolean {
  return helpGroup === 'GLOBAL';
}
