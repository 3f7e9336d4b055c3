local none, unspent = {false, false, false}, {nil, false}
-- Old: budget, spent, grants. Args: `spent` to remove only that, `all` to remove all: grants are a part of the budget.
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
end
