-- Decides about sessions that were read before, as `decision` says (see change-sessions). Changes nothing.
--
-- KEYS: none.
-- ARGV: the number of arguments, and of sessions' own texts; JSON of the values of each session's keys, and of their
--   PTTLs; the arguments; the own texts.
-- Returns: a JSON list, for each session the word and, for each key, its new value, or true if it stays.
local function decideSessions(decision)
  local nargs, nown = tonumber(ARGV[1]), tonumber(ARGV[2])
  local args = {unpack(ARGV, 4, 3 + nargs)}
  local replies = {}
  for at, found in ipairs(cjson.decode(ARGV[3])) do
    local old, ttls = found[1], found[2]
    local function ttl(i)
      return ttls[i]
    end
    local word, new = decision(old, args, nown > 0 and ARGV[3 + nargs + at], ttl)
    local states = {}
    for i = 1, #old do
      local after = new and new[i]
      if not new or after == nil or (after == false and old[i] == false) then
        after = true
      end
      states[i] = after
    end
    replies[at] = {word, states}
  end
  return cjson.encode(replies)
end
