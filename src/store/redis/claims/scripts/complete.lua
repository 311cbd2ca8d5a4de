-- ARGV[3] retention, ARGV[4] response
if mine and state == 'P' then
    local retention = tonumber(ARGV[3])
    save('D', token, fingerprint, attempt, now + retention, retention, ARGV[4])
    return {1}
end
-- Done by this token already: the first completion stands.
if mine and state == 'D' and till > now then return {1} end
return {0}
