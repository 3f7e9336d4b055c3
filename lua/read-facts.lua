-- Reads what check-store has to know of keys.
--
-- KEYS: one to read, or more, of which the others decide on the first.
-- ARGV: a digit for each key to read, how many they are; the last byte of a value that is read.
-- Returns: of each key its type, PTTL, text (nothing for another type), and the PTTL of each of the others.
-- Atomic: it writes nothing; the facts of all keys are of one moment.
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
