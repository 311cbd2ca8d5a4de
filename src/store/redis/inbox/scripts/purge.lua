-- ARGV[2] consumer, ARGV[3] how long content is kept, ARGV[4] how long dead letters are, ARGV[5] how many.
local consumer, content, dead, limit = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local emptied, removed = 0, 0

-- Those whose time is this or earlier.
local function until_now(index, from, at, most)
    local found = {}
    for _, member in ipairs(call('ZRANGEBYLEX', index, '[' .. from, '(' .. from .. digits(at + 1), 'LIMIT', 0, most)) do
        local r = load(sub(member, #from + 16))
        -- Somebody deleted its record.
        if r then table.insert(found, r) else call('ZREM', index, member) end
    end
    return found
end

for _, r in ipairs(until_now(ENDED, consumer .. 'd', now - dead, limit)) do
    remove(r)
    removed = removed + 1
end
for _, r in ipairs(until_now(ENDED, consumer .. 'e', now - content, limit)) do
    if now >= after(r.due, r.retention) then
        if removed < limit then
            remove(r)
            removed = removed + 1
        end
    elseif emptied < limit then
        call('HDEL', CONTENTS, r.id)
        r.content = false
        save(r)
        emptied = emptied + 1
    end
end
for _, r in ipairs(until_now(BARE, consumer, now, limit - removed)) do
    remove(r)
    removed = removed + 1
end
return {1, emptied + removed}
