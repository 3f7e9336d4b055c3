-- Decides what set-budget does to sessions that were read before, for a cluster.
-- KEYS, ARGV, returns: see decide-sessions. Arguments: see decide-set-budget. Changes nothing.
--- @include "decide-set-budget"
--- @include "decide-sessions"
return decideSessions(decide)
