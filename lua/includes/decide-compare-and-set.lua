-- Own: JSON of the values that must be there, and of those to write; null for a value that does not matter.
local function decide(old, _, own)
  local expected, wanted = unpack(cjson.decode(own))
  local new = {}
  for i = 1, #old do
    if expected[i] ~= cjson.null and old[i] ~= expected[i] then
      return 'moved'
    end
    if wanted[i] ~= cjson.null then
      new[i] = wanted[i]
    end
  end
  return 'done', new
end
