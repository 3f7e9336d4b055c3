-- Old: budget, spent. Args: the new budget.
local function decide(_, args)
  return 'done', {args[1]}
end
