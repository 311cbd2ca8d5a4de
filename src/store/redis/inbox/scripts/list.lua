-- ARGV[2] consumer, ARGV[3] state or nothing, ARGV[4] event type, ARGV[5] tenant, ARGV[6] before this number or nothing, ARGV[7] how many, ARGV[8]
-- how many are looked at. It tells the number of the last that was looked at, or nothing when there is no further one.
local consumer, state, kind, tenant, before = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local limit, most = tonumber(ARGV[7]), tonumber(ARGV[8])

-- The numbers at the ends of the members that begin like this, the newest first.
local function newest(index, from)
    local found = call('ZREVRANGEBYLEX', index, '(' .. from .. (before == '' and LAST or before), '[' .. from, 'LIMIT', 0, most)
    for at, member in ipairs(found) do found[at] = sub(member, #from + 1) end
    return found
end

local ids
if tenant ~= NOTHING then
    ids = newest(TENANTS, consumer .. tenant)
elseif kind ~= NOTHING then
    ids = newest(TYPES, consumer .. kind)
elseif state ~= '' then
    ids = newest(STATES, consumer .. state)
else
    ids = {}
    for each in string.gmatch('dfpwx', '.') do
        for _, id in ipairs(newest(STATES, consumer .. each)) do table.insert(ids, id) end
    end
    table.sort(ids, function(one, other) return one > other end)
end
local found, last, looked_at = {}, false, 0
for _, id in ipairs(ids) do
    if #found == limit or looked_at == most then break end
    looked_at, last = looked_at + 1, id
    local r = load(id)
    if r and (state == '' or r.state == state) and (kind == NOTHING or r.type == kind) and (tenant == NOTHING or r.tenant == tenant) then
        table.insert(found, shown(r))
    end
end
return {1, looked_at == math.min(most, #ids) and #ids < most and '' or last or '', found}
