-- ARGV[2] number, ARGV[3] token.
local r = load(ARGV[2])
return {1, r and r.state == 'f' and r.token == ARGV[3] and 1 or 0}
