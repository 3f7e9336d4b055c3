-- Changes sessions as `decision` says, and records the change, all in one atomic step.
--
-- KEYS: the keys of each session, one session after the other.
-- ARGV: the number of keys a session, of arguments, and of sessions' own texts; the number of characters before and
--   after the ID in the first key of each; `old` to get old values, else empty; the length to trim the journal to, empty
--   for no journal; the journal's key; the key of the store's name, empty where it does not matter; the name that the user
--   has given; the arguments; the own texts; the fields of the journal's entry, without the value of the last.
-- Returns: a JSON list of the word of `decision` for each session. With `old` a second one, the records of what changed as
--   the journal has them: for each session its ID and, for each key, the old and the new value. A session without a record
--   then has, in place of its word, a list of the word and the values of its keys: a text, false for no key, true for a
--   value that is not text. Or an error reply, and nothing is changed: it begins with JOURNAL when the journal was refused;
--   it is STORE and the name when the store is protected and another name, or none, was given.
--
-- decision(old, args, own, ttl): `old` are the values of one session's keys, `own` is its text, if there are any, `ttl(i)`
-- returns the PTTL of a key. It calls no command. It returns a word and, if something is to change, the new values of keys
-- by their number: see `put`. Keys that it does not name stay.
--
-- The entry is written first, because that is where a refusal comes: after its first write a script may go on writing, even
-- when memory is full. A reset has to work then, so it starts with XTRIM, which needs no memory but counts as a write. If
-- something is refused nevertheless, everything is taken back.
--
-- A PTTL for each key is an eighth of the time. Redis says at once only how many of all its keys expire (INFO), and there are
-- always some beside a gateway: freezes and counters.
--- @include "put"
--- @include "refused"
local function changeSessions(decision)
  if redis.replicate_commands then
    redis.replicate_commands()
  end
  local call, pcall = redis.call, redis.pcall
  local width, nargs, nown = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
  local prefix, suffix, isTold = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == 'old'
  local limit, journal = ARGV[7], ARGV[8]
  local store, agreed = ARGV[9], ARGV[10]
  local args = {unpack(ARGV, 11, 10 + nargs)}
  -- A name that this user may not read protects nothing; one that is not text could not be given.
  local name = store ~= '' and pcall('GET', store)
  if refused(name) and string.find(name.err, 'WRONGTYPE') then
    return name
  end
  if type(name) == 'string' and name ~= agreed then
    return {err = 'STORE ' .. name}
  end
  local first = 0
  local function ttl(i)
    return call('PTTL', KEYS[first + i])
  end
  local function state(key, value)
    if value == false then
      return false
    end
    local left = call('PTTL', key)
    if value == true then
      return {call('DUMP', key), left, 'dump'}
    end
    if left < 0 then
      return value
    end
    return {value, left}
  end
  local isJournaled = limit ~= ''
  local values = call('MGET', unpack(KEYS))
  local absent, replies, records, puts, dels = {}, {}, {}, {}, {}
  for i = 1, #KEYS do
    if not values[i] then
      absent[#absent + 1] = KEYS[i]
    end
  end
  -- Some of these keys may have another type: only then each is looked at.
  local isNone = #absent == 0 or pcall('EXISTS', unpack(absent)) == 0
  local old, nrecords, ndels = {}, 0, 0
  for at = 0, #KEYS - 1, width do
    first = at
    for i = 1, width do
      old[i] = values[first + i] or not isNone and call('PTTL', KEYS[first + i]) ~= -2
    end
    local word, new = decision(old, args, nown > 0 and ARGV[11 + nargs + first / width], ttl)
    local changes = false
    if new then
      local record = nrecords
      for i = 1, width do
        local before, after = old[i], new[i]
        if after == nil or (after == false and before == false) then
          after = true
        else
          changes = true
          local key = KEYS[first + i]
          if isJournaled or after then
            before = state(key, before)
          end
          if after then
            puts[#puts + 1] = {key, after, before}
          else
            ndels = ndels + 1
            dels[ndels] = key
          end
        end
        records[record + 2 * i] = before
        records[record + 2 * i + 1] = after
      end
      if changes then
        records[record + 1] = string.sub(KEYS[first + 1], prefix + 1, -1 - suffix)
        nrecords = nrecords + 1 + 2 * width
      end
    end
    replies[#replies + 1] = isTold and not changes and {word, unpack(old)} or word
  end
  for i = nrecords + 1, nrecords + 1 + 2 * width do
    records[i] = nil
  end
  local recorded = (isTold or isJournaled) and cjson.encode(records)
  local entry
  if isJournaled and nrecords > 0 then
    local fields = {unpack(ARGV, 11 + nargs + nown)}
    fields[#fields + 1] = recorded
    entry = #puts == 0 and pcall('XTRIM', journal, 'MAXLEN', '~', limit)
    if not refused(entry) then
      entry = pcall('XADD', journal, 'MAXLEN', '~', limit, '*', unpack(fields))
    end
    if refused(entry) then
      return {err = 'JOURNAL ' .. entry.err}
    end
  end
  local count, answer = 0, nil
  for i = 1, #puts do
    answer = put(puts[i][1], puts[i][2])
    if refused(answer) then
      break
    end
    count = i
  end
  if not refused(answer) and ndels > 0 then
    answer = pcall('DEL', unpack(dels))
  end
  if refused(answer) then
    for i = count, 1, -1 do
      put(puts[i][1], puts[i][3])
    end
    if entry then
      pcall('XDEL', journal, entry)
    end
    return answer
  end
  return {cjson.encode(replies), isTold and recorded or nil}
end
