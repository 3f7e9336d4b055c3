-- Reads what check-store has to know of keys.
--
-- KEYS: one to read, or two, of which the second decides on the first.
-- ARGV: a digit for each key to read, how many they are; the last byte of a value that is read.
-- Returns: of each key its type, PTTL, text (nothing for another type), and the PTTL of the second.
-- Atomic: it writes nothing; the facts of all keys are of one moment.
local replies, n, at = {}, 0, 1
for digit in string.gmatch(ARGV[1], '%d') do
  local key = KEYS[at]
  local kind = redis.call('TYPE', key).ok
  replies[n + 1] = kind
  replies[n + 2] = redis.call('PTTL', key)
  replies[n + 3] = kind == 'string' and redis.call('GETRANGE', key, 0, ARGV[2])
  replies[n + 4] = digit == '2' and redis.call('PTTL', KEYS[at + 1])
  n, at = n + 4, at + digit
end
return replies
