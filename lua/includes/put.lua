-- Gives a key a value: false for no key, a text, {text, TTL in ms}, or {DUMP, TTL in ms, 'dump'}. Returns the reply.
local function put(key, state)
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
end
