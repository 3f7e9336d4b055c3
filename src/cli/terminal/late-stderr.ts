let isMade = false;

/** True when something has asked for stderr since `onceStderrIsUsed` was first called. */
export function isStderrUsed(): boolean {
  return isMade;
}

/**
 * Calls it when something asks for stderr for the first time, before that gets it. Node.js makes stderr only then; most
 * runs have nothing to say there, and to make it is a twentieth of a start.
 */
export function onceStderrIsUsed(prepare: () => void): void {
  const property = Object.getOwnPropertyDescriptor(process, 'stderr');
  if (isMade || property?.get === undefined) {
    prepare();
    return;
  }
  Object.defineProperty(process, 'stderr', {
    ...property,
    get: () => {
      isMade = true;
      Object.defineProperty(process, 'stderr', property);
      prepare();
      return process.stderr;
    },
  });
}
