-- FILL: store a prediction and the features it was made from, if the lease stands and the inputs are new enough.
-- KEYS: the entity's hash. ARGV: nonce, whether the lease was given in a hold-off, whether inputs were read from
-- the entity (1 or 0 each), their version or "", the source that counts it, the most values a hash may hold,
-- then field and value of each entry.
-- Answers: 1 when stored, else 0.
local nonce, in_hold_off, reads_entity = ARGV[1], ARGV[2] == '1', ARGV[3] == '1'
local version, source, values_max = ARGV[4], ARGV[5], tonumber(ARGV[6])

-- Versions are compared as decimal text: a Lua number would round those above 2^53.
local function is_below(one, other)
    return #one < #other or (#one == #other and one < other)
end

local function is_proven(barrier)
    if version == '' then
        return not in_hold_off and next(barrier.floors) == nil
    end
    local floor = barrier.floors[source]
    if floor and is_below(version, floor) then
        return false
    end
    return not in_hold_off or barrier.provable_by == source
end

local found = redis.call('HMGET', KEYS[1], '#lease', '#barrier')
if found[1] ~= nonce then
    return 0
end
if reads_entity and found[2] and not is_proven(cjson.decode(found[2])) then
    return 0
end

local own_fields = found[2] and 2 or 1
for i = 7, #ARGV, 2 do
    if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 0 and redis.call('HLEN', KEYS[1]) - own_fields >= values_max then
        -- Make room: among one more than the fields of our own there is a value.
        for _, field in ipairs(redis.call('HRANDFIELD', KEYS[1], own_fields + 1)) do
            if string.sub(field, 1, 1) ~= '#' then
                redis.call('HDEL', KEYS[1], field)
                break
            end
        end
    end
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
-- The time to live of a lease or a hold-off must not take values with it.
redis.call('PERSIST', KEYS[1])
return 1
