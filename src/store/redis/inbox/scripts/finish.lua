-- ARGV[2] number, ARGV[3] token, ARGV[4] the state in which it ends, or `r` for a retry, or `b` when it is given back, ARGV[5] wait, ARGV[6]
-- whether there is a reason, ARGV[7] reason.
local r, token, ending = load(ARGV[2]), ARGV[3], ARGV[4]
if not r or r.state ~= 'w' or r.token ~= token then return {1, 0} end
if ending == 'r' then
    wait_until(r, after(now, tonumber(ARGV[5])))
elseif ending == 'b' then
    r.attempt = math.max(0, r.attempt - 1)
    wait_until(r, now)
else
    end_as(r, ending, token)
end
give_reason(r, ARGV[6] == '1' and ARGV[7])
save(r)
if has_ended(r) then go_on(r, true) end
return {1, 1}
