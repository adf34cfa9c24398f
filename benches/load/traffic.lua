-- The traffic of scripts/load: lists, sign-ins and endings of many users, mixed at random. wrk runs this file once in
-- each of its threads, and `setup` and `done` in one more.
--
-- What the service confirmed is written down as it is confirmed, for check.py: "created ID" and "ended ID".

local threads = {}

function setup(thread)
  table.insert(threads, thread)
  thread:set("number", #threads)
end

-- FOLDER RATE CONNECTIONS, of all threads together; a rate of 0 is no limit.
function init(args)
  local folder, rate, connections = args[1], tonumber(args[2]), tonumber(args[3])
  math.randomseed(number)
  users, tokens, newest, counts = {}, {}, {}, {}
  for line in io.lines(folder .. "/tokens") do
    local user, token = line:match("^(%S+) (%S+)$")
    tokens[user] = token
    if user ~= "admin" then
      table.insert(users, user)
    end
  end
  confirmed = assert(io.open(folder .. "/confirmed-" .. number, "w"))
  -- Nothing closes the file when wrk ends.
  confirmed:setvbuf("line")
  if rate > 0 then
    function delay()
      return 1000 * connections / rate
    end
  end
end

local function send(caller, method, path, body)
  local headers = { Authorization = "Bearer " .. tokens[caller], ["Content-Type"] = "application/json" }
  return wrk.format(method, "/sessions" .. path, headers, body)
end

-- More devices than a user may have sessions, so that some are refreshed and some evicted.
local DEVICES = 8

local function create(user)
  return send(user, "POST", "/create", ('{"device_fingerprint":"device %d"}'):format(math.random(DEVICES)))
end

-- Ends one of this thread's sessions with `how`, the newest: the older ones have mostly ended by now.
local function end_newest(how)
  return function(user)
    local session = table.remove(newest)
    return session and how(session) or create(user)
  end
end

local MIX = {
  { 45, function(user) return send("admin", "GET", "/user/" .. user) end },
  { 10, function(user) return send(user, "GET", "/my-sessions") end },
  { 30, create },
  { 6, end_newest(function(s) return send("admin", "DELETE", "/user/" .. s.user .. "/session/" .. s.id) end) },
  { 5, end_newest(function(s) return send(s.user, "DELETE", "/session/" .. s.id) end) },
  { 2, function(user) return send("admin", "DELETE", "/user/" .. user) end },
  { 2, function(user) return send(user, "DELETE", "/logout-all") end },
}

function request()
  local roll, user = math.random(100), users[math.random(#users)]
  for _, part in ipairs(MIX) do
    local percent, act = part[1], part[2]
    if roll <= percent then
      return act(user)
    end
    roll = roll - percent
  end
end

-- An answer does not say which request it is for, but what it confirms can be told from its form.
function response(status, _, body)
  counts[status] = (counts[status] or 0) + 1
  local evicted = body:match('"evicted":%[(.-)%]')
  if evicted then
    local id, user = body:match('^{"id":"(.-)","user_id":(%d+)')
    table.insert(newest, { id = id, user = user })
    confirmed:write("created ", id, "\n")
    for each in evicted:gmatch('"(.-)"') do
      confirmed:write("ended ", each, "\n")
    end
  elseif body:find('^{"success":true') then
    for id in body:gmatch('"id":"(.-)"') do
      confirmed:write("ended ", id, "\n")
    end
  end
end

-- Prints the answers by status, and fails unless every request was answered, and none of them refused: there is
-- nothing in this traffic to refuse.
function done(summary)
  local total, unexpected = {}, 0
  for _, thread in ipairs(threads) do
    for status, count in pairs(thread:get("counts")) do
      total[status] = (total[status] or 0) + count
      if status ~= 200 and status ~= 201 then
        unexpected = unexpected + count
      end
    end
  end
  for status, count in pairs(total) do
    print(("  Status %d: %d"):format(status, count))
  end
  local errors = summary.errors
  local broken = errors.connect + errors.read + errors.write + errors.timeout
  print(("  Socket errors and timeouts: %d"):format(broken))
  os.exit(unexpected + broken == 0 and total[200] and 0 or 1)
end
