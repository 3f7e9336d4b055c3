-- Claims crossings that nobody has reported: sets each field that is free, or whose claim has run out without a report.
--
-- KEYS: the hash of the reported crossings.
-- ARGV: the TTL of the hash in seconds, now in ms, then a field and the value of its claim, and so on.
-- Returns: for each field 1 if it was claimed, else 0.
-- Atomic: all these fields, so that no other host gets a part of them.
local taken = {}
for i = 3, #ARGV, 2 do
  local held = redis.call('HGET', KEYS[1], ARGV[i])
  local lease = held and string.match(held, '^pending:(%d+):')
  local free = not held or (lease and tonumber(lease) <= tonumber(ARGV[2]))
  if free then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
  taken[#taken + 1] = free and 1 or 0
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return taken
