-- Changes sessions as `decision` says, and records the change, all in one atomic step.
--
-- KEYS: the keys of each session, one session after the other.
-- ARGV: the number of keys a session, of arguments, and of sessions' own texts; the number of characters before and
--   after the ID in the first key of each; `old` to get old values, else empty; the length to trim the journal to, empty
--   for no journal; the journal's key; the key of the store's name, empty where it does not matter; the name that the user
--   has given; the prefix of a rare key, empty for none; the arguments; the own texts; the fields of the journal's entry,
--   without the value of the last; the one before it has the names of the keys.
-- Returns: a JSON list of the word of `decision` for each session. With `old` three more, as the journal has them: the
--   records of what changed, for each session its ID and, for each key, the old and the new value; the long texts of which
--   the records hold the numbers; and how many keys a record has. A session without a record then has, in place of its
--   word, a list of the word and the values of its keys: a text, false for no key, true for a value that is not text. Or an
--   error reply, and nothing is changed: it begins with JOURNAL when the journal was refused; it is STORE and the name when
--   the store is protected and another name, or none, was given.
--
-- A rare key is the last of a session and is not among KEYS: hardly any session has one, so mostly only their number is
-- read, and the records do without it. For a user who may not read it there is none.
--
-- decision(old, args, own, ttl): `old` are the values of one session's keys, `own` is its text, if there are any, `ttl(i)`
-- returns the PTTL of a key. It calls no command. It returns a word and, if something is to change, the new values of keys
-- by their number: see `put`. Keys that it does not name stay.
--
-- The entry is written first, because that is where a refusal comes: after its first write a script may go on writing, even
-- when memory is full. A reset has to work then, so it starts with XTRIM, which needs no memory but counts as a write. If
-- something is refused nevertheless, everything is taken back.
--
-- A PTTL for each key is a fifth of the time. None is asked for where INFO says that no key of the server expires; that is
-- exact, since nothing else runs during a script. A user who may not ask INFO has the PTTLs.
--- @include "put"
--- @include "refused"

-- The keys of the sessions and their number a session: with the rare one, if any session has it.
local function withRare(width, rare, ids)
  local names, keys = {}, {}
  for i = 1, #ids do
    names[i] = rare .. ids[i]
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
  local call, pcall, type = redis.call, redis.pcall, type
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
    width = all - 1
  end
  local ids, nids, sub = {}, 0, string.sub
  for at = 1, #KEYS, width do
    nids = nids + 1
    ids[nids] = sub(KEYS[at], prefix + 1, -1 - suffix)
  end
  if rare ~= '' then
    keys, width = withRare(width, rare, ids)
  end
  local first = 0
  local function ttl(i)
    return call('PTTL', keys[first + i])
  end
  local info = pcall('INFO', 'keyspace')
  local isLasting = type(info) == 'string' and string.find(info, 'expires=0') and not string.find(info, 'expires=[1-9]')
  local function state(key, value)
    if value == true then
      return {call('DUMP', key), call('PTTL', key), 'dump'}
    end
    local left = call('PTTL', key)
    return left < 0 and value or {value, left}
  end
  -- Sessions that share a period have the same long texts: the records hold the number of each.
  local texts, ntexts, numbers = {}, 0, {}
  local function short(value)
    local number = numbers[value]
    if not number then
      number, ntexts = ntexts, ntexts + 1
      texts[ntexts], numbers[value] = value, number
    end
    return number
  end
  local isJournaled = limit ~= ''
  local values = call('MGET', unpack(keys))
  local absent, replies, records, sets, dels = {}, {}, {}, {}, {}
  local nabsent = 0
  for i = 1, #keys do
    if not values[i] then
      nabsent = nabsent + 1
      absent[nabsent] = keys[i]
    end
  end
  -- Some of these keys may have another type: only then each is looked at.
  local isNone = nabsent == 0 or pcall('EXISTS', unpack(absent)) == 0
  -- What is put: the keys, their new and their old values.
  local puts, news, olds, nputs = {}, {}, {}, 0
  local old, nrecords, nsets, ndels = {}, 0, 0, 0
  if width < all then
    old[all] = false
  end
  for at = 0, #keys - 1, width do
    first = at
    for i = 1, width do
      old[i] = values[at + i] or not isNone and call('PTTL', keys[at + i]) ~= -2
    end
    local word, new = decision(old, args, nown > 0 and ARGV[12 + nargs + at / width], ttl)
    local changes = false
    if new then
      local record = nrecords + 2
      for i = 1, width do
        local before, after = old[i], new[i]
        local isText, isNewText = before and before ~= true, false
        if after == nil or (after == false and before == false) then
          after = true
        else
          changes = true
          local key = keys[at + i]
          if before and (before == true or not isLasting) and (isJournaled or after) then
            before = state(key, before)
            isText = type(before) == 'string'
          end
          if after then
            nputs = nputs + 1
            puts[nputs], news[nputs], olds[nputs] = key, after, before
            if type(after) == 'string' then
              isNewText = true
              sets[nsets + 1], sets[nsets + 2] = key, after
              nsets = nsets + 2
            end
          else
            ndels = ndels + 1
            dels[ndels] = key
          end
        end
        if isText and #before > 63 then
          before = short(before)
        end
        if isNewText and #after > 63 then
          after = short(after)
        end
        records[record], records[record + 1] = before, after
        record = record + 2
      end
      if changes then
        records[nrecords + 1] = ids[at / width + 1]
        nrecords = record - 1
      end
    end
    replies[at / width + 1] = isTold and not changes and {word, unpack(old)} or word
  end
  for i = nrecords + 1, nrecords + 1 + 2 * width do
    records[i] = nil
  end
  local recorded = (isTold or isJournaled) and cjson.encode(records)
  local shared = ntexts > 0 and cjson.encode(texts) or '[]'
  local entry
  if isJournaled and nrecords > 0 then
    local fields = {unpack(ARGV, 12 + nargs + nown)}
    if width < all then
      fields[#fields - 1] = string.gsub(fields[#fields - 1], ' %S+$', '')
    end
    fields[#fields + 1] = recorded
    if ntexts > 0 then
      fields[#fields + 1], fields[#fields + 2] = 'texts', shared
    end
    entry = nputs == 0 and pcall('XTRIM', journal, 'MAXLEN', '~', limit)
    if not refused(entry) then
      entry = pcall('XADD', journal, 'MAXLEN', '~', limit, '*', unpack(fields))
    end
    if refused(entry) then
      return {err = 'JOURNAL ' .. entry.err}
    end
  end
  -- Texts are written by one command, unless it is refused: this user may have SET alone.
  local isSet = nsets > 0 and not refused(pcall('MSET', unpack(sets)))
  local count, answer = isSet and nsets == 2 * nputs and nputs or 0, nil
  for i = count + 1, nputs do
    if not isSet or type(news[i]) ~= 'string' then
      answer = put(puts[i], news[i])
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
    for i = isSet and nputs or count, 1, -1 do
      put(puts[i], olds[i])
    end
    if entry then
      pcall('XDEL', journal, entry)
    end
    return answer
  end
  return isTold and {cjson.encode(replies), recorded, shared, width} or {cjson.encode(replies)}
end
