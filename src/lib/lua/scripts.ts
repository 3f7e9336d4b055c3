// Made by scripts/build/lua.mjs from lua/. Change it there, and run npm run build.

const REFUSED_PART = `local function refused(reply)
return type(reply) == 'table' and reply.err
end`;

const DECIDE_COMPARE_AND_SET_PART = `local plans, read = nil, 0
local function decide(old, args)
plans = plans or cjson.decode(args[1])
local width, first = #old, read
read = read + 2 * width
local new = {}
for i = 1, width do
local before, after = plans[first + i], plans[first + width + i]
if type(before) == 'number' then
before = args[before]
end
if before ~= cjson.null and old[i] ~= before then
return 'moved'
end
if type(after) == 'number' then
after = args[after]
end
if after ~= cjson.null then
new[i] = after
end
end
return 'done', new
end`;

const PUT_PART = `local function put(key, state)
if state == false then
return redis.pcall('DEL', key)
end
if type(state) == 'string' then
return redis.pcall('SET', key, state)
end
if state[3] then
return redis.pcall('RESTORE', key, math.max(state[2], 0), state[1], 'REPLACE')
end
return redis.pcall('SET', key, state[1], 'PX', string.format('%.0f', state[2]))
end`;

const CHANGE_SESSIONS_PART = `local function withRare(width, rare, ids)
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
local isNone = nabsent == 0 or pcall('EXISTS', unpack(absent)) == 0
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
end`;

const DECIDE_REPAIR_PART = `local function decide(old, args, own)
local plan = cjson.decode(own)
local new = {}
for i, step in ipairs(plan) do
local found = old[i]
if type(found) == 'string' then
found = string.sub(found, 1, tonumber(args[1]))
end
if step[1] ~= cjson.null and found ~= step[1] then
return 'changed'
end
end
for i, step in ipairs(plan) do
if step[2] == 'delete' then
new[i] = false
end
if step[2] == 'write' then
local text = step[3] == cjson.null and old[i] or step[3]
if type(text) == 'string' then
new[i] = step[4] == 0 and text or {text, step[4]}
end
end
end
return 'done', new
end`;

const DECIDE_SESSIONS_PART = `local function decideSessions(decision)
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
end`;

const DECIDE_RESET_PART = `local none, unspent = {false, false, false}, {nil, false}
local function decide(old, args)
if not old[1] and not old[2] then
return 'not_found'
end
if old[1] == true or old[2] == true then
return 'wrong_type'
end
if args[1] == 'all' then
return 'done', none
end
return old[2] and 'done' or 'unchanged', unspent
end`;

const DECIDE_SET_BUDGET_PART = `local function decide(_, args)
return 'done', {args[1]}
end`;

const DECIDE_UNFREEZE_PART = `local function decide(old, args)
if args[1] and not (old[1] and old[2] == args[1]) then
return 'kept'
end
return 'done', {false, false, false, false, false}
end`;

const DECIDE_FREEZE_PART = `local function decide(old, args)
if type(old[1]) == 'string' and args[4] == '' then
return 'has_end'
end
local ttl = tonumber(args[3])
if not ttl then
return 'done', {args[1], args[2]}
end
return 'done', {{args[1], ttl}, {args[2], ttl}}
end`;

const DECIDE_RENEWAL_PART = `local renewals
local function decide(old, args)
if not renewals then
renewals = {}
for i = 1, #args, 3 do
renewals[args[i]] = {args[i + 1], nil, args[i + 2], false}
end
end
local renewal = not old[2] and renewals[old[1]]
return renewal and 'done' or 'open', renewal or nil
end`;

/** lua/append-journal.lua */
export const APPEND_JOURNAL = `${REFUSED_PART}
if redis.replicate_commands then
redis.replicate_commands()
end
if ARGV[2] == 'free' then
local reply = redis.pcall('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[1])
if refused(reply) then
return reply
end
end
return redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', unpack(ARGV, 3))`;

/** lua/claim-crossings.lua */
export const CLAIM_CROSSINGS = `local taken = {}
for i = 3, #ARGV, 2 do
local held = redis.call('HGET', KEYS[1], ARGV[i])
local lease = held and string.match(held, '^pending:(%d+):')
local free = not held or (lease and tonumber(lease) <= tonumber(ARGV[2]))
if free then
redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
taken[#taken + 1] = free and 1 or 0
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return taken`;

/** lua/compare-and-set.lua */
export const COMPARE_AND_SET = `${DECIDE_COMPARE_AND_SET_PART}
${PUT_PART}
${REFUSED_PART}
${CHANGE_SESSIONS_PART}
return changeSessions(decide)`;

/** lua/compare-and-set-fields.lua */
export const COMPARE_AND_SET_FIELDS = `local done, written = {}, {}
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
return done`;

/** lua/compare-and-set-key.lua */
export const COMPARE_AND_SET_KEY = `${PUT_PART}
${REFUSED_PART}
local expected, wanted = unpack(cjson.decode(ARGV[1]))
local old = redis.call('MGET', KEYS[1])[1] or redis.call('PTTL', KEYS[1]) ~= -2
if expected ~= cjson.null and old ~= expected then
return '["moved"]'
end
local answer = put(KEYS[1], wanted)
return refused(answer) and answer or '["done"]'`;

/** lua/decide-repair.lua */
export const DECIDE_REPAIR = `${DECIDE_REPAIR_PART}
${DECIDE_SESSIONS_PART}
return decideSessions(decide)`;

/** lua/decide-reset.lua */
export const DECIDE_RESET = `${DECIDE_RESET_PART}
${DECIDE_SESSIONS_PART}
return decideSessions(decide)`;

/** lua/decide-set-budget.lua */
export const DECIDE_SET_BUDGET = `${DECIDE_SET_BUDGET_PART}
${DECIDE_SESSIONS_PART}
return decideSessions(decide)`;

/** lua/decide-unfreeze.lua */
export const DECIDE_UNFREEZE = `${DECIDE_UNFREEZE_PART}
${DECIDE_SESSIONS_PART}
return decideSessions(decide)`;

/** lua/freeze.lua */
export const FREEZE = `${DECIDE_FREEZE_PART}
${PUT_PART}
${REFUSED_PART}
${CHANGE_SESSIONS_PART}
return changeSessions(decide)`;

/** lua/probe.lua */
export const PROBE = `return 1`;

/** lua/read-facts.lua */
export const READ_FACTS = `local replies, n, at = {}, 0, 1
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
return replies`;

/** lua/renew.lua */
export const RENEW = `${DECIDE_RENEWAL_PART}
${PUT_PART}
${REFUSED_PART}
${CHANGE_SESSIONS_PART}
return changeSessions(decide)`;

/** lua/repair.lua */
export const REPAIR = `${DECIDE_REPAIR_PART}
${PUT_PART}
${REFUSED_PART}
${CHANGE_SESSIONS_PART}
return changeSessions(decide)`;

/** lua/reset.lua */
export const RESET = `${DECIDE_RESET_PART}
${PUT_PART}
${REFUSED_PART}
${CHANGE_SESSIONS_PART}
return changeSessions(decide)`;

/** lua/set-budget.lua */
export const SET_BUDGET = `${DECIDE_SET_BUDGET_PART}
${PUT_PART}
${REFUSED_PART}
${CHANGE_SESSIONS_PART}
return changeSessions(decide)`;

/** lua/settle-crossings.lua */
export const SETTLE_CROSSINGS = `for i = 2, #ARGV, 3 do
if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
if ARGV[i + 2] == '' then
redis.call('HDEL', KEYS[1], ARGV[i])
else
redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
end
end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1`;

/** lua/unfreeze.lua */
export const UNFREEZE = `${DECIDE_UNFREEZE_PART}
${PUT_PART}
${REFUSED_PART}
${CHANGE_SESSIONS_PART}
return changeSessions(decide)`;
