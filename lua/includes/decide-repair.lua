-- Args: the number of bytes of a text that count. Own: JSON, for each key what is expected (null when it does not
-- matter), what to do (`stay`, `delete`, `write`), the text (null for the present one), and a TTL in ms, 0 for none.
local function decide(old, args, own)
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
end
