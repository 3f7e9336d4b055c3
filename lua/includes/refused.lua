-- Returns the error of a reply to redis.pcall, if it is one.
local function refused(reply)
  return type(reply) == 'table' and reply.err
end
