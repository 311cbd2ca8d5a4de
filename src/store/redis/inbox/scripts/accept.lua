-- ARGV[2] consumer, ARGV[3] how many may be there or nothing, ARGV[4] how many come, and of each 11: key, fingerprint, provider, event
-- type, tenant, order key or nothing, guard or nothing, its window, retention, facts, content.
local DUPLICATE, OTHER_BODY, FULL, NEW, REARMED, REARMED_OTHER, REPLAY = 0, 1, 2, 3, 4, 5, 6
local consumer, limit, count = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local function read(number)
    local at = 4 + (number - 1) * 11
    local function text(place) return ARGV[at + place] end
    local guard = text(7)
    return {
        state = 'p', staged = false, content = true, attempt = 0, spent = 0, token = NOTHING, accepted = now, consumer = consumer,
        key = text(1), fingerprint = text(2), source = text(3), type = text(4), tenant = text(5),
        order = text(6) ~= '' and text(6), guard = guard ~= '' and guard .. digits(after(now, tonumber(text(8)))),
        guard_key = guard ~= '' and guard, retention = tonumber(text(9)), facts = text(10), body = text(11), before = {},
        was_staged = false,
    }
end

-- Whether its body is guarded under another key.
local function is_guarded(r, same)
    if not r.guard_key then return false end
    local from = '[' .. r.guard_key .. digits(now + 1)
    for _, member in ipairs(call('ZRANGEBYLEX', GUARDS, from, '(' .. r.guard_key .. LAST, 'LIMIT', 0, 2)) do
        if not same or sub(member, 32) ~= same.id then return true end
    end
    return false
end

local events, answers, keys, bodies, new = {}, {}, {}, {}, 0
for number = 1, count do
    local r = read(number)
    events[number] = r
    if keys[r.key] then
        answers[number] = DUPLICATE
    else
        keys[r.key] = true
        local repeats = r.guard_key and bodies[r.guard_key]
        if r.guard_key then bodies[r.guard_key] = true end
        local id = call('HGET', IDS, r.key)
        local same = id and load(id)
        r.same = same
        local other = same and same.fingerprint ~= r.fingerprint
        if same and same.state == 'd' then
            answers[number], new = other and REARMED_OTHER or REARMED, new + 1
        elseif same and (not has_ended(same) or now < after(same.due, same.retention)) then
            answers[number] = other and OTHER_BODY or DUPLICATE
        elseif repeats or is_guarded(r, same) then
            answers[number] = REPLAY
        else
            answers[number], new = NEW, new + 1
        end
    end
end
if limit and new > 0 and call('ZLEXCOUNT', AGES, '[' .. consumer, '(' .. consumer .. LAST) + new > limit then
    for number, answer in ipairs(answers) do
        if answer >= NEW and answer ~= REPLAY then answers[number] = FULL end
    end
end

for number, answer in ipairs(answers) do
    if answer >= NEW and answer ~= REPLAY then
        local r, same = events[number], events[number].same
        if answer == NEW then
            if same then remove(same) end
            r.id = format('%016.0f', call('HINCRBY', META, 'last', 1))
            call('HSET', IDS, r.key, r.id)
        else
            forget(facts_of(same))
            give_reason(same, nil)
            r.id, r.attempt, r.spent, r.before = same.id, same.attempt, same.attempt, same.before
        end
        -- What waits for another one is not in the stream: it is given out when that one has ended.
        r.staged = not waits(r.order, nil)
        r.due = r.staged and now or NEVER
        if r.staged then call('XADD', ARRIVALS, '*', 'e', r.id) end
        call('HSET', CONTENTS, r.id, r.body)
        save(r)
        for index, member in pairs(facts_of(r)) do call('ZADD', index, 0, member) end
        if not version then
            call('HSET', META, 'version', VERSION)
            version = VERSION
        end
    end
end
return {1, answers}
