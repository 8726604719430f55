-- READ: what is cached, or a lease.
-- KEYS: the entity's hash. ARGV: prediction's field, features' field or "", a fresh nonce, the lease's life in ms.
-- Answers: prediction, features, nonce (none on a hit), whether a hold-off stands (1 or 0).
local found = redis.call('HMGET', KEYS[1], ARGV[1], ARGV[2], '#lease', '#barrier')
if found[1] then
    return {found[1], found[2], false, 0}
end

local nonce = found[3]
if not nonce then
    nonce = ARGV[3]
    redis.call('HSET', KEYS[1], '#lease', nonce)
    -- A hash without values must not stay for ever. One that a purge left behind goes with its hold-off.
    if not found[4] then
        redis.call('PEXPIRE', KEYS[1], ARGV[4])
    end
end

local in_hold_off = 0
if found[4] then
    local time = redis.call('TIME')
    if time[1] * 1000 + math.floor(time[2] / 1000) < cjson.decode(found[4]).until_ms then
        in_hold_off = 1
    end
end
return {false, found[2], nonce, in_hold_off}
