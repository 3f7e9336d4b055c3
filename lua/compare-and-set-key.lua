-- Makes one key hold what was planned, where it still holds what it was planned on: compare-and-set of a single key, short
-- since on a cluster it is sent for each.
--
-- KEYS: the key.
-- ARGV: JSON of what it has to hold, null for anything, and of what it is to hold: see `put`.
-- Returns: JSON, ["done"] or ["moved"]; or the error reply of the write.
-- Atomic: the comparison and the write.
--- @include "put"
--- @include "refused"
local expected, wanted = unpack(cjson.decode(ARGV[1]))
local old = redis.call('MGET', KEYS[1])[1] or redis.call('PTTL', KEYS[1]) ~= -2
if expected ~= cjson.null and old ~= expected then
  return '["moved"]'
end
local answer = put(KEYS[1], wanted)
return refused(answer) and answer or '["done"]'
