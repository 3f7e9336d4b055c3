-- Claims crossings that nobody has reported: sets the value of each field that is free, or that was claimed by who has not
-- reported it in time.
--
-- KEYS: the hash of what has been reported.
-- ARGV: now in ms, the value of a claim, the TTL of the hash in seconds, the fields.
-- Returns: for each field 1 if it was claimed, else 0.
-- Atomic: all of these fields, so that no other host gets a part of them.
local taken = {}
for i = 4, #ARGV do
  local held = redis.call('HGET', KEYS[1], ARGV[i])
  local lease = held and string.match(held, '^pending:(%d+):')
  local free = not held or (lease and tonumber(lease) <= tonumber(ARGV[1]))
  if free then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[2])
  end
  taken[#taken + 1] = free and 1 or 0
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return taken
