-- Freezes sessions, but leaves alone what has the end of a freeze already.
-- KEYS, ARGV, returns, atomic in what: see change-sessions. Arguments: see decide-freeze.
--- @include "decide-freeze"
--- @include "change-sessions"
return changeSessions(decide)
