-- ARGV[2] consumer.
local consumer = ARGV[2]
local function count(state)
    local of = consumer .. state
    return call('ZLEXCOUNT', STATES, '[' .. of, '(' .. of .. LAST)
end
local oldest = first_of(AGES, consumer, 1)[1]
local age = oldest and math.max(0, now - tonumber(sub(oldest, 17, 31))) or -1
return {1, count('p'), count('w'), count('d'), age}
