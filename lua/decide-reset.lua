-- Decides what reset does to sessions that were read before, for a cluster.
-- KEYS, ARGV, returns: see decide-sessions. Arguments: see decide-reset. Changes nothing.
--- @include "decide-reset"
--- @include "decide-sessions"
return decideSessions(decide)
