-- ARGV[2] consumer, ARGV[3] token, ARGV[4] lease, ARGV[5] how many, ARGV[6] attempts, ARGV[7] how many of a provider or nothing, ARGV[8] why
-- an event is dead that was begun too often, ARGV[9] how many are found dead at most, and then providers and how many of each are held.
--
-- What has come is read from the stream through its group, and deleted from it in the same step: the record says who holds the event
-- and until when, so that the group's own list of what it gave out is always empty, and nobody has to read a history. What is read and
-- not given out has its place in DUE from then on.
local GROUP, READER = 'workers', 'worker'
-- How many entries one lease reads at most, so that it ends soon however many there are that it must not give out.
local MOST_READ = 1000
local consumer, token, lease, limit, attempts = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local of_source, why, most_exhausted = tonumber(ARGV[7]), ARGV[8], tonumber(ARGV[9])
local held = {}
for at = 10, #ARGV, 2 do held[ARGV[at]] = tonumber(ARGV[at + 1]) end

local function room(source, given)
    if not of_source then return math.huge end
    return math.max(0, of_source - (held[source] or 0) - given)
end

-- What was noted for the operator: the group was gone, the stream had entries that somebody else had read, entries were not ours,
-- events were not in the stream that should have been.
local group_gone, passed_over, foreign, missing = 0, 0, 0, 0

local function is_error(answer)
    return type(answer) == 'table' and answer.err ~= nil
end

-- Reads new entries. Without a group it is made from the beginning of the stream, so that nothing is passed over.
local function read_new(count)
    local function ask()
        return redis.pcall('XREADGROUP', 'GROUP', GROUP, READER, 'COUNT', count, 'STREAMS', ARRIVALS, '>')
    end
    local answer = ask()
    if is_error(answer) and string.find(answer.err, 'NOGROUP', 1, true) then
        group_gone = call('HEXISTS', META, 'group:' .. consumer)
        call('XGROUP', 'CREATE', ARRIVALS, GROUP, '0', 'MKSTREAM')
        call('HSET', META, 'group:' .. consumer, '1')
        answer = ask()
    end
    if is_error(answer) then error(answer.err) end
    return answer and answer[1] and answer[1][2] or {}
end

-- Events that have come, by their providers, in their order. They are saved when they are given out, or at the end.
local arrivals, sources_of_arrivals, taken_from_stream, is_here = {}, {}, 0, {}

local function take(entry)
    local fields = entry[2]
    local id = fields and fields[1] == 'e' and fields[2]
    if not id or #id ~= 16 then
        foreign = foreign + 1
        return nil
    end
    local r = not is_here[id] and load(id)
    -- One that was discarded, erased or given out meanwhile has left its entry behind.
    if not (r and r.staged and r.consumer == consumer) then return nil end
    is_here[id], r.staged, taken_from_stream = true, false, taken_from_stream + 1
    if not arrivals[r.source] then
        arrivals[r.source] = {}
        table.insert(sources_of_arrivals, r.source)
    end
    table.insert(arrivals[r.source], r)
    return r
end

-- Reads until so many can be given out.
local function read_arrivals(wanted)
    local read, fit, has_begun_again = 0, 0, false
    while fit < wanted and read < MOST_READ do
        local entries = read_new(math.min(math.max(wanted - fit, 1), MOST_READ - read))
        if #entries == 0 then
            -- We delete what we read, so whatever is left was read by somebody else, or passed over.
            if has_begun_again or call('XLEN', ARRIVALS) == 0 then break end
            call('XGROUP', 'SETID', ARRIVALS, GROUP, '0')
            has_begun_again, passed_over = true, 1
        else
            read = read + #entries
            local ids = {}
            for _, entry in ipairs(entries) do
                table.insert(ids, entry[1])
                local r = take(entry)
                if r and #arrivals[r.source] <= room(r.source, 0) then fit = fit + 1 end
            end
            call('XACK', ARRIVALS, GROUP, unpack(ids))
            call('XDEL', ARRIVALS, unpack(ids))
        end
    end
end

-- Whether events that have come are not in the stream any more, since somebody deleted their entries: their records have everything.
local function are_missing()
    local staged = tonumber(call('HGET', META, 'staged:' .. consumer) or 0)
    return staged > taken_from_stream and call('XLEN', ARRIVALS) == 0
end

-- Gives such events their place in DUE, a page of them for each lease.
local function find_missing()
    local mark = 'missing:' .. consumer
    local from = call('HGET', META, mark)
    local begin = from and '(' .. consumer .. 'p' .. from or '[' .. consumer .. 'p'
    local page = call('ZRANGEBYLEX', STATES, begin, '(' .. consumer .. 'p' .. LAST, 'LIMIT', 0, MOST_READ)
    for _, member in ipairs(page) do
        local id = sub(member, 18)
        local r = not is_here[id] and load(id)
        if r and r.staged then
            r.staged, missing = false, missing + 1
            save(r)
        end
    end
    if #page == MOST_READ then
        call('HSET', META, mark, sub(page[#page], 18))
    else
        call('HDEL', META, mark)
        call('HSET', META, 'staged:' .. consumer, taken_from_stream)
    end
end

-- Steps from provider to provider along DUE.
local function sources_due()
    local found, from = {}, '[' .. consumer
    while true do
        -- Up to the end of the index: a source is any bytes, and one that begins with LAST is behind `consumer .. LAST`.
        local member = call('ZRANGEBYLEX', DUE, from, '+', 'LIMIT', 0, 1)[1]
        if not member or sub(member, 1, 16) ~= consumer then return found end
        local source = sub(member, 17, 32)
        table.insert(found, source)
        from = '(' .. consumer .. source .. LAST
    end
end

local events, given, exhausted = {}, {}, 0

-- What is due, the oldest first, as far as there is room.
local function choose()
    local wanted, candidates = limit - #events, {}
    for _, source in ipairs(sources_due()) do
        local most = math.min(wanted, room(source, given[source] or 0))
        if most > 0 then
            local from = consumer .. source
            local members = call('ZRANGEBYLEX', DUE, '[' .. from, '(' .. from .. digits(now + 1), 'LIMIT', 0, most)
            for _, member in ipairs(members) do
                local candidate = {due = sub(member, 33, 47), id = sub(member, 48), source = source}
                candidate.event = load(candidate.id)
                -- Somebody deleted its record.
                if candidate.event then table.insert(candidates, candidate) else call('ZREM', DUE, member) end
            end
        end
    end
    for _, source in ipairs(sources_of_arrivals) do
        for _, r in ipairs(arrivals[source]) do
            if r.was_staged and r.due <= now then
                table.insert(candidates, {due = digits(r.due), id = r.id, source = source, event = r})
            end
        end
    end
    table.sort(candidates, function(one, other)
        if one.due ~= other.due then return one.due < other.due end
        return one.id < other.id
    end)
    local chosen, counts = {}, {}
    for _, candidate in ipairs(candidates) do
        local source = candidate.source
        local count = counts[source] or given[source] or 0
        if #chosen < wanted and room(source, count) > 0 then
            counts[source] = count + 1
            table.insert(chosen, candidate)
        end
    end
    return chosen
end

local function give_out()
    while true do
        local chosen = choose()
        if #chosen == 0 or exhausted >= most_exhausted then return end
        local is_alone, dead = false, {}
        for _, candidate in ipairs(chosen) do
            local r = candidate.event
            local was_abandoned = r.state == 'w'
            if is_alone or was_abandoned and #events > 0 then
                is_alone = true
                break
            end
            local begun = math.max(0, r.attempt - r.spent)
            if begun >= attempts then
                end_as(r, 'd')
                give_reason(r, why)
                save(r)
                table.insert(dead, r)
            else
                r.attempt, r.state, r.due, r.token = r.attempt + 1, 'w', after(now, lease), token
                save(r)
                is_alone = was_abandoned
                given[r.source] = (given[r.source] or 0) + 1
                table.insert(events, {
                    r.id, r.attempt, begun + 1, math.max(0, now - r.accepted), r.key, r.facts, call('HGET', CONTENTS, r.id),
                })
            end
        end
        exhausted = exhausted + #dead
        -- What waited behind a dead one may be due now.
        for _, r in ipairs(dead) do go_on(r, true) end
        if #dead == 0 or is_alone then return end
    end
end

local function next_due()
    local soonest
    local function see(due)
        soonest = math.min(soonest or due, due)
    end
    for _, source in ipairs(sources_due()) do
        if room(source, given[source] or 0) > 0 then
            see(tonumber(sub(first_of(DUE, consumer .. source, 1)[1], 33, 47)))
        end
    end
    -- What is in the stream still is due, if it is of a provider with room.
    local most, entries = 16, {}
    if call('EXISTS', ARRIVALS) == 1 then entries = call('XRANGE', ARRIVALS, '-', '+', 'COUNT', most) end
    local seen = 0
    for _, entry in ipairs(entries) do
        local id = entry[2][1] == 'e' and entry[2][2]
        local r = id and #id == 16 and load(id)
        if r and r.staged and room(r.source, given[r.source] or 0) > 0 then
            see(r.due)
            break
        end
        seen = seen + 1
    end
    if seen == most or missing > 0 then see(now) end
    return soonest and math.max(0, soonest - now) or -1
end

if limit > 0 then
    read_arrivals(limit)
    if are_missing() then find_missing() end
end
give_out()
for _, source in ipairs(sources_of_arrivals) do
    for _, r in ipairs(arrivals[source]) do
        if r.was_staged then save(r) end
    end
end
return {1, next_due(), exhausted, {group_gone, passed_over, foreign, missing}, events}
