-- Decides what repair does to sessions that were read before, for a cluster.
-- KEYS, ARGV, returns: see decide-sessions. Arguments: see decide-repair. Changes nothing.
--- @include "decide-repair"
--- @include "decide-sessions"
return decideSessions(decide)
