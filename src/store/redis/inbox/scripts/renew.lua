-- ARGV[2] number, ARGV[3] token, ARGV[4] lease.
local r = load(ARGV[2])
if not r or r.state ~= 'w' or r.token ~= ARGV[3] then return {1, 0} end
r.due = after(now, tonumber(ARGV[4]))
save(r)
return {1, 1}
