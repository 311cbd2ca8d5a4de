-- What every script begins with. KEYS[1] the record, ARGV[1] the offset of the clock, ARGV[2] the caller's token.
--
-- A record is a string: version (1 byte), state (P pending, R released, D done), token (16), fingerprint (8),
-- attempt (10 digits), milliseconds (15 digits; P end of the lease, R when released, D expiry), kept response (the rest).
local VERSION = 1
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])

local state, token, fingerprint, attempt, till, response
local raw = redis.pcall('GET', KEYS[1])
if type(raw) == 'table' then
    -- Another type at our key is not ours to touch.
    if string.find(raw.err, 'WRONGTYPE', 1, true) then return {-2} end
    return raw
end
if raw then
    if string.byte(raw, 1) ~= VERSION then return {-1, string.byte(raw, 1) or 0} end
    state, token, fingerprint = string.sub(raw, 2, 2), string.sub(raw, 3, 18), string.sub(raw, 19, 26)
    attempt, till = tonumber(string.sub(raw, 27, 36)), tonumber(string.sub(raw, 37, 51))
    response = string.sub(raw, 52)
    if not (attempt and till and string.find('PRD', state, 1, true) and #raw >= 51) then return {-2} end
end
local mine = token == ARGV[2]

-- The key expires when nobody needs it any more. By the offset of the clock it may be over before: that decides.
local function save(new_state, new_token, new_fingerprint, new_attempt, new_till, keep, new_response)
    local numbers = string.format('%010d%015d', new_attempt, new_till)
    local value = string.char(VERSION) .. new_state .. new_token .. new_fingerprint .. numbers .. new_response
    redis.call('SET', KEYS[1], value, 'PX', math.max(keep, 1))
end
