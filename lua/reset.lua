-- Removes the budget and the spending of sessions, or the spending alone.
-- KEYS, ARGV, returns, atomic in what: see change-sessions. Arguments: see decide-reset.
--- @include "decide-reset"
--- @include "change-sessions"
return changeSessions(decide)
