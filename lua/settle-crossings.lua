-- Marks claimed crossings as reported, or gives them up, unless somebody has claimed them since.
--
-- KEYS: the hash of the reported crossings.
-- ARGV: the TTL of the hash in seconds; then a field, the value that it must still have, and the new one, empty to
-- remove
--   it, and so on.
-- Returns: 1.
-- Atomic: all these fields.
for i = 2, #ARGV, 3 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    if ARGV[i + 2] == '' then
      redis.call('HDEL', KEYS[1], ARGV[i])
    else
      redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
    end
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
