-- Does nothing: shows whether this user may run scripts on a key.
--
-- KEYS: one key. ARGV: none. Returns: 1.
return 1
