-- Reads the facts about keys that check-store needs.
--
-- KEYS: for each one key, or more, if the first depends on the others.
-- ARGV: for each a digit, the number of its keys; then the last byte of a value to read.
-- Returns: for each the type, PTTL and text (nothing for another type) of the first key, and the PTTL of each of the others.
-- Atomic: it writes nothing; all facts are of one moment.
local replies, n, at = {}, 0, 1
for digit in string.gmatch(ARGV[1], '%d') do
  local key = KEYS[at]
  local kind = redis.call('TYPE', key).ok
  replies[n + 1] = kind
  replies[n + 2] = redis.call('PTTL', key)
  replies[n + 3] = kind == 'string' and redis.call('GETRANGE', key, 0, ARGV[2])
  for i = 1, digit - 1 do
    replies[n + 3 + i] = redis.call('PTTL', KEYS[at + i])
  end
  n, at = n + 2 + digit, at + digit
end
return replies
