// Fills the fullest host that still has room; see README.md.

import { configInt, configure, HostFlag, place, PlaceAnswers, PlaceRequest, PlaceRow, Reason, Top } from "wasmesh-policy";

export function mesh_configure(length: i32): i32 {
  return configure(length, ["keep_free_permille", "max_queue"]);
}

export function mesh_place(length: i32): i32 {
  return place(length, (request) => {
    const spare = min<i64>(max<i64>(configInt("keep_free_permille", 0), 0), 1000);
    const queue = configInt("max_queue", 8);
    const best = new Top();
    for (let i = 0; i < request.length; i++) {
      const host = request.row(i);
      if (host.flags & (HostFlag.Draining | HostFlag.Excluded | HostFlag.HasCopy)) continue;
      const left = leftAfter(request, host);
      if (left == TOO_SMALL) continue;
      const loads = <i64>host.loadsQueued + host.loadsRunning;
      best.offer(i, left >= 0 ? packed(left, spare, loads, queue) : evicting(host, left, loads));
    }
    for (let i = 0; i < best.length; i++) {
      const row = best.row(i);
      const left = leftAfter(request, request.row(row));
      PlaceAnswers.add(row, left, left >= 0 ? Reason.Packed : Reason.LeastLost);
    }
  });
}

// The whole of a capacity, as shares count.
const WHOLE: i64 = 1 << 16;

// Of a host that could never hold the model.
const TOO_SMALL: i32 = i32.MIN_VALUE;

// Keys of three classes, best first: hosts with room below the limits, others with room, hosts that have to evict. Within a
// class a key is at most 2^60.
const CLASS: i64 = 1 << 61;

// With room: the fullest first, then the one with fewer loads ahead.
function packed(left: i32, spare: i64, loads: i64, queue: i64): i64 {
  const key = ((WHOLE - <i64>left) << 34) - min<i64>(loads, (<i64>1 << 34) - 1);
  return left * 1000 >= spare * WHOLE && loads < queue ? key + CLASS : key;
}

// Without: the one first that loses least.
function evicting(host: PlaceRow, left: i32, loads: i64): i64 {
  return -CLASS - (min<i64>(loss(host, -left), (<i64>1 << 50) - 1) << 10) - min<i64>(loads, 1023);
}

// What is left after the load of the scarcest resource, in 65536ths of the capacity; below 0 what has to be evicted.
function leftAfter(request: PlaceRequest, host: PlaceRow): i32 {
  let left = after(request.needMemory, host.freeMemory, host.capacityMemory);
  left = min<i32>(left, after(request.needDevice, host.freeDevice, host.capacityDevice));
  return min<i32>(left, after(request.needSlots, host.freeSlots, host.capacitySlots));
}

// Of one resource. A capacity of 0 means that nobody counts it.
function after(need: i64, free: i64, capacity: i64): i32 {
  if (capacity <= 0 || need <= 0) return <i32>WHOLE;
  if (need > capacity) return TOO_SMALL;
  free = min<i64>(max<i64>(free, 0), capacity);
  return free >= need ? <i32>share(free - need, capacity) : -<i32>max<i64>(share(need - free, capacity), 1);
}

// part/all in 65536ths. part is from 0 to all, and all is positive.
function share(part: i64, all: i64): i64 {
  const shift = max<i64>(18 - clz<i64>(all), 0); // To 46 bits.
  return ((part >> shift) * WHOLE) / (all >> shift);
}

// What the host loses when that share of its capacity is freed: the next point of its reclaim curve, or twice the last.
function loss(host: PlaceRow, lacking: i64): i64 {
  const most: i64 = 1 << 48;
  if (lacking <= WHOLE / 16) return min<i64>(max<i64>(host.reclaim16th, 0), most);
  if (lacking <= WHOLE / 8) return min<i64>(max<i64>(host.reclaim8th, 0), most);
  if (lacking <= WHOLE / 4) return min<i64>(max<i64>(host.reclaim4th, 0), most);
  const half = min<i64>(max<i64>(host.reclaimHalf, 0), most);
  return lacking <= WHOLE / 2 ? half : half * 2;
}
