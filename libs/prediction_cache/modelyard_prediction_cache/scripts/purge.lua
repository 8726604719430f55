-- PURGE: forget all that is cached about an entity, void its leases, and remember how new inputs must be.
-- KEYS: the entity's hash. ARGV: version of the change or "", the source that counts it, the hold-off in ms, the
-- most floors to remember.
-- Answers: how many values were purged.
local version, source, hold_off_ms, floors_max = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local function is_below(one, other)
    return #one < #other or (#one == #other and one < other)
end

local found = redis.call('HMGET', KEYS[1], '#lease', '#barrier')
local purged = redis.call('HLEN', KEYS[1]) - (found[1] and 1 or 0) - (found[2] and 1 or 0)
local barrier = found[2] and cjson.decode(found[2]) or {until_ms = 0, floors = {}}
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

-- In a hold-off only one source can prove that inputs are new enough: the one that counted every purge in it.
if version == '' or (now_ms < barrier.until_ms and barrier.provable_by ~= source) then
    barrier.provable_by = nil
else
    barrier.provable_by = source
end

if version ~= '' then
    local floor = barrier.floors[source]
    if not floor then
        local count = 0
        for _ in pairs(barrier.floors) do
            count = count + 1
        end
        -- Sources are few. Should somebody invent them, the hold-off covers the floors that are forgotten.
        if count >= floors_max then
            barrier.floors = {}
        end
    end
    if not floor or is_below(floor, version) then
        barrier.floors[source] = version
    end
end
barrier.until_ms = now_ms + hold_off_ms

redis.call('UNLINK', KEYS[1])
redis.call('HSET', KEYS[1], '#barrier', cjson.encode(barrier))
redis.call('PEXPIRE', KEYS[1], hold_off_ms)
return purged
