-- Changes sessions as `decision` says, and records the change, all in one atomic step.
--
-- KEYS: the keys of each session, one session after the other.
-- ARGV: the number of keys a session, of arguments, and of sessions' own texts; the number of characters before and
--   after the ID in the first key of each; `old` to get old values, else empty; the length to trim the journal to, empty
--   for no journal; the journal's key; the key of the store's name, empty where it does not matter; the name that the user
--   has given; the prefix of a rare key, empty for none; the arguments; the own texts; the fields of the journal's entry,
--   without the value of the last.
-- Returns: a JSON list of the word of `decision` for each session. With `old` two more, as the journal has them: the records
--   of what changed, for each session its ID and, for each key, the old and the new value; and the long texts of which the
--   records hold the numbers. A session without a record then has, in place of its word, a list of the word and the values
--   of its keys: a text, false for no key, true for a value that is not text. Or an error reply, and nothing is changed: it
--   begins with JOURNAL when the journal was refused; it is STORE and the name when the store is protected and another
--   name, or none, was given.
--
-- A rare key is the last of a session and is not among KEYS: hardly any session has one, so mostly only their number is
-- read. For a user who may not read it there is none.
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

-- The keys of the sessions and their number a session: with the rare one, if any session has it.
local function withRare(width, rare, prefix, suffix)
  local names, keys = {}, {}
  for at = 1, #KEYS, width do
    names[#names + 1] = rare .. string.sub(KEYS[at], prefix + 1, -1 - suffix)
  end
  local found = redis.pcall('EXISTS', unpack(names))
  if type(found) ~= 'number' or found == 0 then
    return KEYS, width
  end
  for at = 0, #KEYS - 1, width do
    for i = 1, width do
      keys[#keys + 1] = KEYS[at + i]
    end
    keys[#keys + 1] = names[at / width + 1]
  end
  return keys, width + 1
end

local function changeSessions(decision)
  if redis.replicate_commands then
    redis.replicate_commands()
  end
  local call, pcall = redis.call, redis.pcall
  local width, nargs, nown = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
  local prefix, suffix, isTold = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == 'old'
  local limit, journal = ARGV[7], ARGV[8]
  local store, agreed, rare = ARGV[9], ARGV[10], ARGV[11]
  local args = {unpack(ARGV, 12, 11 + nargs)}
  -- A name that this user may not read protects nothing; one that is not text could not be given.
  local name = store ~= '' and pcall('GET', store)
  if refused(name) and string.find(name.err, 'WRONGTYPE') then
    return name
  end
  if type(name) == 'string' and name ~= agreed then
    return {err = 'STORE ' .. name}
  end
  local keys, all = KEYS, width
  if rare ~= '' then
    keys, width = withRare(all - 1, rare, prefix, suffix)
  end
  local first = 0
  local function ttl(i)
    return call('PTTL', keys[first + i])
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
  -- Sessions that share a period have the same long texts: the records hold the number of each.
  local texts, numbers = {}, {}
  local function short(value)
    if type(value) ~= 'string' or #value < 64 then
      return value
    end
    local number = numbers[value]
    if not number then
      number = #texts
      texts[number + 1], numbers[value] = value, number
    end
    return number
  end
  local isJournaled = limit ~= ''
  local values = call('MGET', unpack(keys))
  local absent, replies, records, puts, sets, dels = {}, {}, {}, {}, {}, {}
  for i = 1, #keys do
    if not values[i] then
      absent[#absent + 1] = keys[i]
    end
  end
  -- Some of these keys may have another type: only then each is looked at.
  local isNone = #absent == 0 or pcall('EXISTS', unpack(absent)) == 0
  local old, nrecords, nsets, ndels = {}, 0, 0, 0
  for at = 0, #keys - 1, width do
    first = at
    for i = 1, all do
      old[i] = i <= width and (values[first + i] or not isNone and call('PTTL', keys[first + i]) ~= -2)
    end
    local word, new = decision(old, args, nown > 0 and ARGV[12 + nargs + first / width], ttl)
    local changes = false
    if new then
      local record = nrecords
      for i = 1, all do
        local before, after = old[i], new[i]
        if after == nil or (after == false and before == false) then
          after = true
        else
          changes = true
          local key = keys[first + i]
          if isJournaled or after then
            before = state(key, before)
          end
          if after then
            puts[#puts + 1] = {key, after, before}
            if type(after) == 'string' then
              sets[nsets + 1], sets[nsets + 2] = key, after
              nsets = nsets + 2
            end
          else
            ndels = ndels + 1
            dels[ndels] = key
          end
        end
        records[record + 2 * i] = short(before)
        records[record + 2 * i + 1] = short(after)
      end
      if changes then
        records[record + 1] = string.sub(keys[first + 1], prefix + 1, -1 - suffix)
        nrecords = nrecords + 1 + 2 * all
      end
    end
    replies[#replies + 1] = isTold and not changes and {word, unpack(old)} or word
  end
  for i = nrecords + 1, nrecords + 1 + 2 * all do
    records[i] = nil
  end
  local recorded = (isTold or isJournaled) and cjson.encode(records)
  local shared = #texts > 0 and cjson.encode(texts) or '[]'
  local entry
  if isJournaled and nrecords > 0 then
    local fields = {unpack(ARGV, 12 + nargs + nown)}
    fields[#fields + 1] = recorded
    if #texts > 0 then
      fields[#fields + 1], fields[#fields + 2] = 'texts', shared
    end
    entry = #puts == 0 and pcall('XTRIM', journal, 'MAXLEN', '~', limit)
    if not refused(entry) then
      entry = pcall('XADD', journal, 'MAXLEN', '~', limit, '*', unpack(fields))
    end
    if refused(entry) then
      return {err = 'JOURNAL ' .. entry.err}
    end
  end
  -- Texts are written by one command, unless it is refused: this user may have SET alone.
  local isSet = nsets > 0 and not refused(pcall('MSET', unpack(sets)))
  local count, answer = 0, nil
  for i = 1, #puts do
    if not isSet or type(puts[i][2]) ~= 'string' then
      answer = put(puts[i][1], puts[i][2])
    end
    if refused(answer) then
      break
    end
    count = i
  end
  if not refused(answer) and ndels > 0 then
    answer = pcall('DEL', unpack(dels))
  end
  if refused(answer) then
    for i = isSet and #puts or count, 1, -1 do
      put(puts[i][1], puts[i][3])
    end
    if entry then
      pcall('XDEL', journal, entry)
    end
    return answer
  end
  return isTold and {cjson.encode(replies), recorded, shared} or {cjson.encode(replies)}
end
