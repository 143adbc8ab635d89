// Keeps what was used last; see README.md. The mesh has the same policy built in, in Go, integer for integer: a change of
// either changes both.

import { configInt, configure, evict, EvictAnswers, Header, Reason } from "wasmesh-policy";

export function mesh_configure(length: i32): i32 {
  return configure(length, ["priorities"]);
}

export function mesh_evict(length: i32): i32 {
  return evict(length, (request) => {
    const now = max<i64>(Header.nowMs(), 0);
    const priorities = configInt("priorities", 1) != 0;
    for (let i = 0; i < request.length; i++) {
      const copy = request.row(i);
      // A copy with requests in flight is in use now.
      const age = copy.inFlight > 0 ? 0 : since(now, copy.lastUsedMs);
      const priority = priorities ? copy.priority : 0;
      EvictAnswers.add(i, inTier(priority, TIER_WIDTH - 1 - compress(age)), Reason.Recency);
    }
  });
}

// The room for the age of copies of one priority: 16 tiers of it on each side of 0 fill an i32.
const TIER_WIDTH: i32 = 1 << 27;

// A copy of lower priority goes first. Priorities beyond -16 and 15 count as these.
function inTier(priority: i32, value: i32): i32 {
  return min<i32>(max<i32>(priority, -16), 15) * TIER_WIDTH + value;
}

// ms, 139 years: the age of what was never used.
const MAX_AGE: i64 = 1 << 42;

// How long ago that was, in ms: 0 for the future.
function since(now: i64, then: i64): i64 {
  return then <= 0 ? MAX_AGE : min<i64>(max<i64>(now - then, 0), MAX_AGE);
}

// Where compress turns from linear to logarithmic.
const LINEAR_BITS: i64 = 22;

// Maps what is not negative below TIER_WIDTH, growing with it: up to 2^22 ms, 70 minutes, itself, and from there each
// doubling takes 2^21 more.
function compress(v: i64): i32 {
  const octaves = 64 - clz<i64>(v) - LINEAR_BITS;
  if (octaves <= 0) return <i32>v;
  return <i32>((octaves << (LINEAR_BITS - 1)) + (v >> octaves));
}
