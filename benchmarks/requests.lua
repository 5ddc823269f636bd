-- wrk sends the requests of a file in their order, and then begins again at the first request.
-- A line of the file has method, path, token, body, and "key" or nothing, separated by tabs.
-- "key": each sending gets its own Idempotency-Key. All keys begin with the second argument, which differs for each run of wrk.

local requests, next, keys = {}, 0, 0
local prefix

function init(args)
  prefix = args[2]
  for line in io.lines(args[1]) do
    local method, path, token, body, key = line:match("([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)")
    local headers = { ["Host"] = wrk.host .. ":" .. wrk.port, ["Authorization"] = "Bearer " .. token }
    if body ~= "" then headers["Content-Type"] = "application/json" else body = nil end
    if key == "" then
      requests[#requests + 1] = wrk.format(method, path, headers, body)
    else
      headers["Idempotency-Key"] = "KEY"
      local before, after = wrk.format(method, path, headers, body):match("(.*Idempotency%-Key: )KEY(.*)")
      requests[#requests + 1] = { before, after }
    end
  end
end

function request()
  next = next % #requests + 1
  local request = requests[next]
  if type(request) == "string" then return request end
  keys = keys + 1
  return request[1] .. prefix .. keys .. request[2]
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.6f, "failed": %d, "p50": %.1f, "p95": %.1f, "p99": %.1f}\n',
    summary.requests, summary.duration / 1e6, failed,
    latency:percentile(50), latency:percentile(95), latency:percentile(99)))
end
