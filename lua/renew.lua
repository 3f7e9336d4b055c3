-- Renews the budgets of sessions whose period and whose lack of grants are as they were found.
-- KEYS, ARGV, returns, atomic in what: see change-sessions. Arguments: see decide-renewal.
--- @include "decide-renewal"
--- @include "change-sessions"
return changeSessions(decide)
