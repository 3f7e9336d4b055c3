-- Args: a JSON list, for each session the values that must be there, then those to write; null for a value that does not
-- matter, a number for the argument of that number. The other arguments are texts that several sessions share.
local plans, read = nil, 0
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
end
