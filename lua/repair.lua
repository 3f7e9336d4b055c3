-- Puts keys of sessions right, where they still hold what check-store found.
-- KEYS, ARGV, returns, atomic in what: see change-sessions. Arguments: see decide-repair.
--- @include "decide-repair"
--- @include "change-sessions"
return changeSessions(decide)
