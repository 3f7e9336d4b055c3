-- Writes fields of hashes in groups, each group only if all its fields still have the values that were read.
--
-- KEYS: the hashes.
-- ARGV: JSON, for each group a list with four items a field: the number of its hash, its name, the value it must have
--   (false for none), the new value (false to remove it, true to leave it); then for each hash its TTL in seconds,
--   0 for none.
-- Returns: for each group 1 if it was written, else 0.
-- Atomic: all groups.
local done, written = {}, {}
for nth, group in ipairs(cjson.decode(ARGV[1])) do
  local holds = true
  for i = 1, #group, 4 do
    holds = holds and redis.call('HGET', KEYS[group[i]], group[i + 1]) == group[i + 2]
  end
  for i = 1, holds and #group or 0, 4 do
    local hash, wanted = group[i], group[i + 3]
    if wanted == false then
      redis.call('HDEL', KEYS[hash], group[i + 1])
    elseif wanted ~= true then
      redis.call('HSET', KEYS[hash], group[i + 1], wanted)
      written[hash] = true
    end
  end
  done[nth] = holds and 1 or 0
end
for hash in pairs(written) do
  if ARGV[1 + hash] ~= '0' then
    redis.call('EXPIRE', KEYS[hash], ARGV[1 + hash])
  end
end
return done
