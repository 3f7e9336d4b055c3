-- Old: frozen_until, freeze_reason, and three counters. Args: nothing, or the only reason to end.
local function decide(old, args)
  if args[1] and not (old[1] and old[2] == args[1]) then
    return 'kept'
  end
  return 'done', {false, false, false, false, false}
end
