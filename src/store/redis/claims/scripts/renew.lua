-- ARGV[3] lease, ARGV[4] abandoned after
if mine and state == 'P' then
    local lease = tonumber(ARGV[3])
    save('P', token, fingerprint, attempt, now + lease, lease + tonumber(ARGV[4]), '')
    return {1}
end
return {0}
