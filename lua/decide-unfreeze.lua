-- Decides what unfreeze does to sessions that were read before, for a cluster.
-- KEYS, ARGV, returns: see decide-sessions. Arguments: see decide-unfreeze. Changes nothing.
--- @include "decide-unfreeze"
--- @include "decide-sessions"
return decideSessions(decide)
