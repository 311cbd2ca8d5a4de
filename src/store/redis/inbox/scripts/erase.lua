-- ARGV[2] consumer, ARGV[3] tenant, ARGV[4] how many.
local from, limit = ARGV[2] .. ARGV[3], tonumber(ARGV[4])
local begin, page, erased = '[' .. from, 500, 0
while erased < limit do
    local members = call('ZRANGEBYLEX', TENANTS, begin, '(' .. from .. LAST, 'LIMIT', 0, page)
    for _, member in ipairs(members) do
        begin = '(' .. member
        local r = load(sub(member, 33))
        if erased < limit and r and r.state ~= 'w' then
            local was_active = not has_ended(r) and r.due ~= NEVER
            remove(r)
            go_on(r, was_active)
            erased = erased + 1
        end
    end
    if #members < page then break end
end
return {1, erased}
