-- ARGV[3] abandoned after
if mine and state == 'P' then
    save('R', token, fingerprint, attempt, now, tonumber(ARGV[3]), '')
    return {1}
end
if mine and state == 'R' then return {1} end
return {0}
