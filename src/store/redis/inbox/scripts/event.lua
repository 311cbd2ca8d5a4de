-- What every script of the inbox begins with. ARGV[1] is the offset of the clock. All keys have one hash tag:
--
-- | key | holds |
-- |---|---|
-- | META | `version`; `last`, the last number of an event; of each consumer what `lease.lua` notes about its stream |
-- | EVENTS | by number, the record of an event: below |
-- | CONTENTS, REASONS | by number, what came, and why the event is not done |
-- | IDS | by the key of a delivery, the number of its event |
-- | STATES, DUE, AGES, ORDER, ENDED, BARE | the indexes of `places` |
-- | TYPES, TENANTS, GUARDS | the indexes of `facts_of` |
-- | ARRIVALS | the stream of what has come for one consumer and was never given out: `e`, a number |
--
-- Indexes are sorted sets whose scores are all 0, so that members are in the order of their bytes: fixed widths, the number last.
--
-- A record is a string: state (1 byte: d dead, f done, p pending, w working, x discarded), whether it is in the stream (1), whether
-- it has content (1), when it is due, its lease ends or it ended (15 digits), attempts (10), attempts of earlier rounds (10), token
-- (16 bytes), when it was accepted (15), retention of its key (15), fingerprint (8 bytes), consumer, provider, event type and tenant
-- (16 bytes each, of a hash), order key (1 and 16), guard (1 and 16, and 15 for its end), the delivery's key (16), and the facts that
-- are shown (the rest, which no script reads).
--
-- The rules are those of the inbox's policy: `rearm`, `end_as`, `go_on` and their like do what the functions of that name do.
local META, EVENTS, CONTENTS, REASONS, IDS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local STATES, DUE, AGES, ORDER, ENDED, BARE = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local TYPES, TENANTS, GUARDS, ARRIVALS = KEYS[12], KEYS[13], KEYS[14], KEYS[15]

local VERSION = '1'
-- Later than any time; of an event that waits for another one with its order key.
local NEVER = 999999999999999
local NOTHING = string.rep('\0', 16)
-- After every member that begins like this.
local LAST = '\255'

local sub, format, call = string.sub, string.format, redis.call

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
local version = call('HGET', META, 'version')
if version and version ~= VERSION then return {-1} end

local function digits(number)
    return format('%015.0f', math.max(0, math.min(number, NEVER)))
end

local function after(from, by)
    return math.min(from + by, NEVER - 1)
end

local function has_ended(r)
    return r.state == 'd' or r.state == 'f' or r.state == 'x'
end

-- What begins like this, at most so many, the first first.
local function first_of(index, from, limit)
    return call('ZRANGEBYLEX', index, '[' .. from, '(' .. from .. LAST, 'LIMIT', 0, limit)
end

-- The member of each index that depends on how the event is doing.
local INDEXES = {STATES, DUE, AGES, ORDER, ENDED, BARE}
local function places(r)
    local of, id, found = r.consumer, r.id, {}
    found[STATES] = of .. r.state .. id
    if not has_ended(r) then
        found[AGES] = of .. digits(r.accepted) .. id
        if r.order then found[ORDER] = r.order .. id end
        if r.due ~= NEVER and not r.staged then found[DUE] = of .. r.source .. digits(r.due) .. id end
    elseif r.content then
        found[ENDED] = of .. (r.state == 'd' and 'd' or 'e') .. digits(r.due) .. id
    else
        found[BARE] = of .. digits(after(r.due, r.retention)) .. id
    end
    return found
end

-- The members that depend on what came alone.
local function facts_of(r)
    local found = {}
    if r.type ~= NOTHING then found[TYPES] = r.consumer .. r.type .. r.id end
    if r.tenant ~= NOTHING then found[TENANTS] = r.consumer .. r.tenant .. r.id end
    if r.guard then found[GUARDS] = r.guard .. r.id end
    return found
end

local function load(id)
    local raw = call('HGET', EVENTS, id)
    if not raw then return nil end
    local function number(from, to) return tonumber(sub(raw, from, to)) end
    local r = {
        id = id, state = sub(raw, 1, 1), staged = sub(raw, 2, 2) == '1', content = sub(raw, 3, 3) == '1',
        due = number(4, 18), attempt = number(19, 28), spent = number(29, 38), token = sub(raw, 39, 54),
        accepted = number(55, 69), retention = number(70, 84), fingerprint = sub(raw, 85, 92),
        consumer = sub(raw, 93, 108), source = sub(raw, 109, 124), type = sub(raw, 125, 140), tenant = sub(raw, 141, 156),
        order = sub(raw, 157, 157) == '1' and sub(raw, 158, 173),
        guard = sub(raw, 174, 174) == '1' and sub(raw, 175, 205),
        key = sub(raw, 206, 221), facts = sub(raw, 222),
    }
    if not (r.due and r.attempt and r.spent and r.accepted and r.retention and #raw >= 221 and string.find('dfpwx', r.state, 1, true)) then
        error('an event of the inbox is not a record')
    end
    r.before, r.was_staged = places(r), r.staged
    return r
end

local function count_staged(r, by)
    call('HINCRBY', META, 'staged:' .. r.consumer, by)
end

local function save(r)
    local there = places(r)
    for _, index in ipairs(INDEXES) do
        local old, new = r.before[index], there[index]
        if old ~= new then
            if old then call('ZREM', index, old) end
            if new then call('ZADD', index, 0, new) end
        end
    end
    if r.staged ~= r.was_staged then count_staged(r, r.staged and 1 or -1) end
    r.before, r.was_staged = there, r.staged
    call('HSET', EVENTS, r.id, table.concat({
        r.state, r.staged and '1' or '0', r.content and '1' or '0', digits(r.due),
        format('%010.0f%010.0f', r.attempt, r.spent), r.token, digits(r.accepted), digits(r.retention), r.fingerprint,
        r.consumer, r.source, r.type, r.tenant, r.order and '1' .. r.order or '0' .. NOTHING,
        r.guard and '1' .. r.guard or '0' .. NOTHING .. digits(0), r.key, r.facts,
    }))
end

local function forget(index_members)
    for index, member in pairs(index_members) do call('ZREM', index, member) end
end

local function remove(r)
    forget(r.before)
    forget(facts_of(r))
    if r.was_staged then count_staged(r, -1) end
    call('HDEL', EVENTS, r.id)
    call('HDEL', CONTENTS, r.id)
    call('HDEL', REASONS, r.id)
    call('HDEL', IDS, r.key)
end

-- Without a text there is no reason.
local function give_reason(r, text)
    if text then call('HSET', REASONS, r.id, text) else call('HDEL', REASONS, r.id) end
end

-- Whether another event with this order key has not ended.
local function waits(order, id)
    if not order then return false end
    for _, member in ipairs(first_of(ORDER, order, 2)) do
        if sub(member, 17) ~= id then return true end
    end
    return false
end

-- Lets the first event go on that waits for one that has ended. `was_active` says that it did not wait itself: of an order key one
-- is due, waits for a time or is being worked, and all others wait for it.
local function go_on(r, was_active)
    if not (r.order and was_active) then return end
    local member = first_of(ORDER, r.order, 1)[1]
    local first = member and load(sub(member, 17))
    if first and first.state == 'p' and first.due == NEVER then
        first.due = now
        save(first)
    end
end

local function wait_until(r, due)
    r.state, r.due, r.token = 'p', due, NOTHING
end

-- Ends it; whoever calls this saves it, and lets the next one go on.
local function end_as(r, state, token)
    local was_active = r.due ~= NEVER
    r.state, r.due, r.token, r.staged = state, now, token or NOTHING, false
    return was_active
end

local function rearm(r)
    r.spent = r.attempt
    wait_until(r, waits(r.order, r.id) and NEVER or now)
end

-- What is shown of it; -1 for never.
local function shown(r)
    return {
        r.id, r.state, r.due == NEVER and -1 or r.due, r.attempt, r.accepted, r.key, r.facts, call('HGET', REASONS, r.id),
    }
end

