-- Old: period, grants, budget, spent. Args: for each period that is due its text, the new text, and the new budget. A session
-- with grants, or with a period that is not among these, is left to the client, which can compute.
local renewals
local function decide(old, args)
  if not renewals then
    renewals = {}
    for i = 1, #args, 3 do
      renewals[args[i]] = {args[i + 1], nil, args[i + 2], false}
    end
  end
  local renewal = not old[2] and renewals[old[1]]
  return renewal and 'done' or 'open', renewal or nil
end
