-- Says of claimed crossings that they were reported, or gives them up, unless somebody has claimed them since.
--
-- KEYS: the hash of what has been reported.
-- ARGV: the new value, empty to remove; the TTL of the hash in seconds; then a field and the value that it must still
--   have, and so on.
-- Returns: 1.
-- Atomic: all of these fields.
for i = 3, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    if ARGV[1] == '' then
      redis.call('HDEL', KEYS[1], ARGV[i])
    else
      redis.call('HSET', KEYS[1], ARGV[i], ARGV[1])
    end
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
