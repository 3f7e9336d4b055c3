-- Appends an entry to the journal.
--
-- KEYS: the journal.
-- ARGV: the length to trim it to; `free` for a change that frees memory, else `add`; the fields of the entry.
-- Returns: the ID of the entry, or the error reply.
-- Atomic: the trimming and the appending. A change that frees memory is recorded even when memory is full: after a
--   first write that needs no memory, Redis refuses nothing more.
--- @include "refused"
if redis.replicate_commands then
  redis.replicate_commands()
end
if ARGV[2] == 'free' then
  local reply = redis.pcall('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[1])
  if refused(reply) then
    return reply
  end
end
return redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', unpack(ARGV, 3))
