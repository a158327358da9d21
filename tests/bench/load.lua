-- wrk's part of load.py: so many requests with fresh events each, then an end at once.
-- Arguments: how many answers to wait for, events in a body, a seed, the key, an event in which
-- EVENT_ID and DEVICE stand for its own.
local most, batch, event
local answered, refused, number = 0, 0, 0

function init(arguments)
  most, batch, event = tonumber(arguments[1]), tonumber(arguments[2]), arguments[5]
  math.randomseed(tonumber(arguments[3]))
  wrk.method = "POST"
  wrk.headers["Authorization"] = "Bearer " .. arguments[4]
  wrk.headers["Content-Type"] = "application/json"
end

local function fresh_event()
  number = number + 1
  local random = math.random
  local id = string.format("%04x%04x-%04x-4%03x-8%03x-%04x%04x%04x", random(0, 65535), random(0, 65535),
    random(0, 65535), random(0, 4095), random(0, 4095), random(0, 65535), random(0, 65535), random(0, 65535))
  return (event:gsub("EVENT_ID", id):gsub("DEVICE", string.format("%012d", math.floor(number / 5))))
end

function request()
  if batch == 1 then
    return wrk.format(nil, nil, nil, fresh_event())
  end
  local events = {}
  for place = 1, batch do
    events[place] = fresh_event()
  end
  return wrk.format(nil, nil, nil, "[" .. table.concat(events, ",") .. "]")
end

function response(status)
  answered = answered + 1
  if status ~= 200 and status ~= 202 then
    refused = status
  end
  if answered == most then
    io.write(string.format("refused %d\n", refused))
    io.flush()
    os.exit(0)
  end
end
