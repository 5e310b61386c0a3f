/**
 * The Lua scripts. Every change of a session's keys is one script, so that it happens in full or not at all, and only
 * for the owner.
 *
 * KEYS are owner, lease, records, staged and rewrite, as far as a script needs them. ARGV[1] is the caller, ARGV[2] the
 * lease in milliseconds. An expiry of 0 means none. Scripts return 1 when they succeeded, or `lost`, `fenced` or
 * `unfinished`.
 *
 * A commit that is too large for one script is staged: parts of it go into the hash `staged`, `conclude` makes all of
 * them valid at once, and `finish` moves them to the records, a part with each call. The empty field of `staged` is the
 * number of the commit. Once the commit is concluded, that field also has the number of changes and the number of the
 * next one to be moved. Change `i` has the field `i` with the field of its record, and `i=` with the value, which a
 * deletion does not have.
 *
 * Every script may arrive twice, and late. Redis refuses a script for lack of memory at its first write that needs
 * memory, if no other write came before. So a script that only frees memory, or has to succeed without any, begins with
 * a write that needs none.
 */
import { createHash } from "node:crypto"
import { oneOf } from "./replies.ts"

/** Redis has lost commits of this owner, or knows neither this owner nor a newer one. */
export const lost = 0
/** A newer owner has taken the session over. */
export const fenced = -1
/** A concluded commit is not yet completely moved to the records. */
export const unfinished = 2

/** The reply of every script except `acquire`. */
export const readAnswer = oneOf(1, lost, fenced, unfinished)

export interface Script {
  readonly lua: string
  /** The digest by which EVALSHA calls the script. */
  readonly sha: string
}

const script = (lua: string): Script => ({ lua, sha: createHash("sha1").update(lua).digest("hex") })

// The owner with the smaller epoch is the older one. Epochs are times of Redis in milliseconds, and always grow.
const functions = `
local function standing()
  local owner = redis.call('GET', KEYS[1])
  if owner == ARGV[1] then return 1 end
  local theirs = tonumber(owner and string.match(owner, '^%d+') or '0')
  if theirs < tonumber(string.match(ARGV[1], '^%d+')) then return ${lost} end
  return ${fenced}
end
local function number()
  return tonumber(redis.call('HGET', KEYS[3], '') or '') or -1
end
local function staging()
  local state = redis.call('HGET', KEYS[4], '') or ''
  local number, total, following = string.match(state, '^(%d+) (%d+) (%d+)$')
  if number then return number, tonumber(total), tonumber(following) end
  return state
end
local function isUnfinished()
  local _, total = staging()
  return total ~= nil
end
local function renew()
  if redis.call('PEXPIRE', KEYS[2], ARGV[2]) == 0 then
    redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
  end
end
local function expire(milliseconds)
  for _, key in ipairs({ KEYS[1], KEYS[3], KEYS[4] }) do
    if milliseconds == '0' then redis.call('PERSIST', key) else redis.call('PEXPIRE', key, milliseconds) end
  end
end
`

/** A script that runs for the newest owner only. */
const ownerScript = (lua: string): Script =>
  script(`${functions}
local standing = standing()
if standing ~= 1 then return standing end
${lua}`)

/**
 * A script of a numbered commit, for the newest owner. ARGV[3] is the number of the newest commit that succeeded,
 * ARGV[4] that of this one. A commit that has already arrived, or arrives after a newer one, is not applied again.
 */
const commitScript = (lua: string): Script =>
  ownerScript(`
local newest = number()
if newest < tonumber(ARGV[3]) then return ${lost} end
if newest >= tonumber(ARGV[4]) then return 1 end
${lua}`)

// Lua accepts only some thousand arguments in one call.
const batch = 4000

/** The number of changes, and about the number of bytes, that `finish` moves at a time. */
const movedChanges = 1000
const movedBytes = 1_048_576

/**
 * Becomes the owner. ARGV: token, lease, expiry. Returns 1 and the owner's text, or 0 and the remaining milliseconds of
 * another owner's lease. A repeated call with the same token, because the first reply was lost, returns the same.
 */
export const acquire: Script = script(`${functions}
local held = redis.call('PTTL', KEYS[2])
if held > 0 then
  local lease = redis.call('GET', KEYS[2])
  if string.match(lease, ':(.*)') == ARGV[1] then return {1, lease} end
  return {0, held}
end
local time = redis.call('TIME')
local epoch = time[1] * 1000 + math.floor(time[2] / 1000)
local previous = tonumber(string.match(redis.call('GET', KEYS[1]) or '', '^%d+') or '0')
if epoch <= previous then epoch = previous + 1 end
local owner = string.format('%.0f:%s', epoch, ARGV[1])
redis.call('SET', KEYS[1], owner)
redis.call('SET', KEYS[2], owner, 'PX', ARGV[2])
local state = redis.call('HGET', KEYS[4], '')
if state and (not string.find(state, ' ', 1, true) or redis.call('EXISTS', KEYS[3]) == 0) then
  redis.call('UNLINK', KEYS[4])
end
redis.call('HSET', KEYS[3], '', 0)
expire(ARGV[3])
return {1, owner}`)

/**
 * Stops being the owner. ARGV: token, milliseconds to remember the epoch of a session without records, expiry of a
 * session with records. A session without records keeps only its epoch, which refuses an older owner that still
 * believes to own it.
 */
export const release: Script = script(`
local lease = redis.call('GET', KEYS[2])
if not lease or string.match(lease, ':(.*)') ~= ARGV[1] then return ${lost} end
redis.call('DEL', KEYS[2])
redis.call('SET', KEYS[1], string.match(lease, '^%d+:'))
local expiry = ARGV[3]
local isConcluded = string.find(redis.call('HGET', KEYS[4], '') or '', ' ', 1, true)
if not isConcluded then redis.call('UNLINK', KEYS[4]) end
if redis.call('HLEN', KEYS[3]) <= 1 and not isConcluded then
  redis.call('DEL', KEYS[3])
  expiry = ARGV[2]
end
if expiry ~= '0' then redis.call('PEXPIRE', KEYS[1], expiry) end
return 1`)

/**
 * Prolongs the lease and the expiry. ARGV: owner, lease, number of the newest commit that succeeded, expiry.
 */
export const renew: Script = ownerScript(`
renew()
if number() < tonumber(ARGV[3]) then return ${lost} end
expire(ARGV[4])
return 1`)

/**
 * Applies a commit. ARGV: owner, lease, number of the newest commit that succeeded, number of this one, '1' when it
 * needs no memory, how many keys are deleted, those keys, then keys and values that are put.
 *
 * A commit that has already arrived, or arrives after a newer one, is not applied again.
 */
export const commit: Script = commitScript(`
if isUnfinished() then return ${unfinished} end
local frees = ARGV[5] == '1'
if frees then renew() end
local deletes = tonumber(ARGV[6])
local first = 7 + deletes
for i = first + ${batch}, #ARGV, ${batch} do
  redis.call('HSET', KEYS[3], unpack(ARGV, i, math.min(i + ${batch - 1}, #ARGV)))
end
redis.call('HSET', KEYS[3], '', ARGV[4], unpack(ARGV, first, math.min(first + ${batch - 1}, #ARGV)))
for i = 7, 6 + deletes, ${batch} do
  redis.call('HDEL', KEYS[3], unpack(ARGV, i, math.min(i + ${batch - 1}, 6 + deletes)))
end
if not frees then renew() end
return 1`)

/**
 * Stages a part of a commit. ARGV: owner, lease, number of the newest commit that succeeded, number of this one, '1'
 * when the commit needs no memory, expiry, how many changes were staged before this part, how many keys are deleted,
 * those keys, then keys and values that are put. Also returns `lost` when the earlier parts are missing.
 */
export const stage: Script = commitScript(`
if isUnfinished() then return ${unfinished} end
if ARGV[5] == '1' then renew() end
local index = tonumber(ARGV[7])
local staged = staging()
if index == 0 then
  if (tonumber(staged) or -1) > tonumber(ARGV[4]) then return ${lost} end
  redis.call('HSET', KEYS[4], '', ARGV[4])
  redis.call('UNLINK', KEYS[4])
  redis.call('HSET', KEYS[4], '', ARGV[4])
elseif staged ~= ARGV[4] then
  return ${lost}
end
local fields = {}
local function add(text)
  fields[#fields + 1] = text
  if #fields == ${batch} then
    redis.call('HSET', KEYS[4], unpack(fields))
    fields = {}
  end
end
local deletes = tonumber(ARGV[8])
for i = 9, 8 + deletes do
  add(index)
  add(ARGV[i])
  index = index + 1
end
for i = 9 + deletes, #ARGV, 2 do
  add(index)
  add(ARGV[i])
  add(index .. '=')
  add(ARGV[i + 1])
  index = index + 1
end
if #fields > 0 then redis.call('HSET', KEYS[4], unpack(fields)) end
if ARGV[6] ~= '0' then redis.call('PEXPIRE', KEYS[4], ARGV[6]) end
renew()
return 1`)

/**
 * Makes a staged commit valid. ARGV: owner, lease, number of the newest commit that succeeded, number of this one,
 * expiry, how many changes it has, and how many of them are puts.
 */
export const conclude: Script = commitScript(`
if staging() ~= ARGV[4] or redis.call('HLEN', KEYS[4]) ~= 1 + ARGV[6] + ARGV[7] then return ${lost} end
renew()
redis.call('HSET', KEYS[4], '', ARGV[4] .. ' ' .. ARGV[6] .. ' 0')
redis.call('HSET', KEYS[3], '', ARGV[4])
expire(ARGV[5])
return 1`)

/**
 * Discards a commit that is staged and not concluded, to free its memory. ARGV: owner, lease.
 */
export const discard: Script = ownerScript(`
if not isUnfinished() then redis.call('UNLINK', KEYS[4]) end
return 1`)

/**
 * Moves some changes of a concluded commit to the records. ARGV: owner, lease. Returns `unfinished` when there are
 * more.
 */
export const finish: Script = ownerScript(`
local number, total, following = staging()
if not total then return 1 end
renew()
local puts, deletes, moved = {}, {}, {}
local bytes = 0
local last = math.min(following + ${movedChanges}, total)
while following < last and bytes < ${movedBytes} do
  local change = redis.call('HMGET', KEYS[4], following, following .. '=')
  if change[2] then
    puts[#puts + 1] = change[1]
    puts[#puts + 1] = change[2]
    bytes = bytes + #change[2]
  elseif change[1] then
    deletes[#deletes + 1] = change[1]
  end
  moved[#moved + 1] = following
  moved[#moved + 1] = following .. '='
  following = following + 1
end
if #puts > 0 then redis.call('HSET', KEYS[3], unpack(puts)) end
if #deletes > 0 then redis.call('HDEL', KEYS[3], unpack(deletes)) end
if following >= total then
  redis.call('UNLINK', KEYS[4])
  return 1
end
if #moved > 0 then redis.call('HDEL', KEYS[4], unpack(moved)) end
redis.call('HSET', KEYS[4], '', number .. ' ' .. string.format('%.0f', total) .. ' ' .. string.format('%.0f', following))
return ${unfinished}`)

/**
 * Deletes all records. ARGV: owner, lease, number of the newest commit that succeeded, number of this one, expiry.
 */
export const clear: Script = commitScript(`
redis.call('UNLINK', KEYS[3], KEYS[4])
redis.call('HSET', KEYS[3], '', ARGV[4])
renew()
expire(ARGV[5])
return 1`)

/**
 * Writes a part of the records again, under a separate key. ARGV: owner, lease, milliseconds to keep it, '1' for the
 * first part, keys and values.
 */
export const rewrite: Script = script(`${functions}
local standing = standing()
if standing == ${fenced} then return standing end
if ARGV[4] == '1' and redis.call('EXISTS', KEYS[5]) == 1 then redis.call('UNLINK', KEYS[5]) end
for i = 5, #ARGV, ${batch} do
  redis.call('HSET', KEYS[5], unpack(ARGV, i, math.min(i + ${batch - 1}, #ARGV)))
end
redis.call('PEXPIRE', KEYS[5], ARGV[3])
return 1`)

/**
 * Replaces the old records by the rewritten ones, and restores the ownership. ARGV: owner, lease, number of the newest
 * commit that succeeded, expiry, how many records were rewritten, or -1 to keep the old ones. Returns `lost` when the
 * rewritten ones are lost as well. A call that arrives late, when the records are newer, changes nothing.
 */
export const restore: Script = script(`${functions}
local standing = standing()
if standing == ${fenced} then return ${fenced} end
if standing == 1 and number() > tonumber(ARGV[3]) then return 1 end
local count = tonumber(ARGV[5])
if count > 0 then
  if redis.call('HLEN', KEYS[5]) ~= count then return ${lost} end
  redis.call('UNLINK', KEYS[3])
  redis.call('RENAME', KEYS[5], KEYS[3])
elseif count == 0 then
  redis.call('UNLINK', KEYS[3])
end
if count >= 0 then redis.call('UNLINK', KEYS[4]) end
redis.call('HSET', KEYS[3], '', ARGV[3])
redis.call('SET', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
expire(ARGV[4])
return 1`)
