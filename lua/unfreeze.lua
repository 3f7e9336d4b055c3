-- Ends the freeze of sessions and clears the counters that would bring it back.
-- KEYS, ARGV, returns, atomic in what: see change-sessions. Arguments: see decide-unfreeze.
--- @include "decide-unfreeze"
--- @include "change-sessions"
return changeSessions(decide)
