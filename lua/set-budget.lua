-- Sets the budget of sessions.
-- KEYS, ARGV, returns, atomic in what: see change-sessions. Arguments: see decide-set-budget.
--- @include "decide-set-budget"
--- @include "change-sessions"
return changeSessions(decide)
