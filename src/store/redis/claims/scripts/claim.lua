-- ARGV[3] fingerprint, ARGV[4] lease, ARGV[5] abandoned after
local new_attempt = 1
if state == 'P' then
    if mine then
        new_attempt = attempt
    elseif till > now then
        return {2, till - now, fingerprint}
    else
        new_attempt = attempt + 1
    end
elseif state == 'R' then
    new_attempt = attempt + 1
elseif state == 'D' and till > now then
    return {3, fingerprint, response}
end
local lease = tonumber(ARGV[4])
save('P', ARGV[2], ARGV[3], new_attempt, now + lease, lease + tonumber(ARGV[5]), '')
return {1, new_attempt}
