-- ARGV[2] consumer, ARGV[3] `replay` or `discard`, ARGV[4] how many, ARGV[5] the time since which they died, or nothing, and then the numbers
-- of the events, the oldest first.
local consumer, change, limit, since = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local ids = {}
if since == '' then
    for at = 6, #ARGV do table.insert(ids, ARGV[at]) end
else
    local from = consumer .. 'd'
    local members = call('ZRANGEBYLEX', ENDED, '[' .. from .. digits(tonumber(since)), '(' .. from .. LAST, 'LIMIT', 0, limit)
    for _, member in ipairs(members) do table.insert(ids, sub(member, 33)) end
    table.sort(ids)
end
local changed = 0
for _, id in ipairs(ids) do
    if changed == limit then break end
    local r = load(id)
    if r and r.consumer == consumer then
        local is_changed, ended_active = false, false
        if change == 'replay' and has_ended(r) and r.content then
            is_changed = true
            rearm(r)
        elseif change == 'discard' and (r.state == 'd' or r.state == 'p') then
            is_changed = true
            -- One that was dead has let the next one go on already.
            ended_active = end_as(r, 'x') and r.before[AGES] ~= nil
        end
        if is_changed then
            give_reason(r, nil)
            save(r)
            go_on(r, ended_active)
            changed = changed + 1
        end
    end
end
return {1, changed}
