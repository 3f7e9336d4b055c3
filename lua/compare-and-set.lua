-- Makes keys of sessions hold what was planned, where they still hold what it was planned on.
-- KEYS, ARGV, returns, atomic in what: see change-sessions. Texts of single sessions: see decide-compare-and-set.
--- @include "decide-compare-and-set"
--- @include "change-sessions"
return changeSessions(decide)
