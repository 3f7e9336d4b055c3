-- Old: frozen_until, freeze_reason, budget, spent. Args: end, reason, TTL in ms (empty for none), `force` or empty.
-- Whether to keep a present end is not decided here: only the client reads times as the gateway does.
local function decide(old, args)
  if type(old[1]) == 'string' and args[4] == '' then
    return 'has_end'
  end
  local ttl = tonumber(args[3])
  if not ttl then
    return 'done', {args[1], args[2]}
  end
  return 'done', {{args[1], ttl}, {args[2], ttl}}
end
