import {joinText, strip} from '../../../scripts/build/lua.mjs';

/** The scripts of a change that decides by this body of a function, see lua/includes/change-sessions.lua. */
export function scriptsOf(body: string): {change: string; decide: string} {
  const join = (include: string, call: string): string => {
    const source = `local function decide(old, args, own)\n${body}\nend\n--- @include "${include}"\nreturn ${call}(decide)`;
    return strip(joinText(source, 'test'));
  };
  return {change: join('change-sessions', 'changeSessions'), decide: join('decide-sessions', 'decideSessions')};
}
