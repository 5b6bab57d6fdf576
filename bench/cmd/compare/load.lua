-- Load for one measured stretch, run by wrk with a single thread.
-- Arguments: process id of the measured server, nanoseconds of warming, nanoseconds to measure, requests at once,
-- method, body size.
--
-- The script reads the CPU clock of the server process itself, at the first and the last request of the stretch, so that
-- neither the opening nor the closing of connections is counted.

local ffi = require("ffi")
local bit = require("bit")

ffi.cdef [[
struct h1bench_time { long seconds; long nanoseconds; };
int clock_gettime(int clock, struct h1bench_time *into);
]]

local MONOTONIC = 1
local STRIDE = 4 -- look at the clock at every fourth write
local STEPS = 8  -- say how far it went so many times: on a starved machine the last write may come too early

local into = ffi.new("struct h1bench_time")
local process, warm, measured, depth, batch
local writes, sent, opened, first, step = 0, 0, nil, nil, 1

local function read(clock)
  if ffi.C.clock_gettime(clock, into) ~= 0 then
    error("the CPU clock of the server cannot be read")
  end
  return tonumber(into.seconds) * 1e9 + tonumber(into.nanoseconds)
end

function init(args)
  -- Linux: the CPU clock of process P has the id (~P << 3) | 2.
  process = bit.bor(bit.lshift(bit.bnot(tonumber(args[1])), 3), 2)
  warm, measured, depth = tonumber(args[2]), tonumber(args[3]), tonumber(args[4])
  local body = nil
  if tonumber(args[6]) > 0 then
    body = string.rep("x", tonumber(args[6]))
  end
  batch = string.rep(wrk.format(args[5], "/", nil, body), depth)
end

local function mark()
  local now = read(MONOTONIC)
  opened = opened or now
  if not first then
    if now - opened >= warm then
      first = { sent = sent, cpu = read(process), wall = now }
    end
  elseif step <= STEPS and now - first.wall >= measured * step / STEPS then
    io.write(string.format("h1bench measured %d %.0f %.0f\n", sent - first.sent, read(process) - first.cpu, now - first.wall))
    io.flush()
    step = math.floor((now - first.wall) * STEPS / measured) + 1
  end
end

function request()
  if writes % STRIDE == 0 then
    mark()
  end
  writes = writes + 1
  sent = sent + depth
  return batch
end

function done(summary)
  local e = summary.errors
  io.write(string.format("h1bench errors %d %d %d %d %d\n", e.connect, e.read, e.write, e.status, e.timeout))
end
