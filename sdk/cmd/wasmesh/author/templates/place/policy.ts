import { HostFlag, place, PlaceAnswers, Reason, Top } from "wasmesh-policy";

/** The hosts with most free memory first. */
export function mesh_place(length: i32): i32 {
  return place(length, (request) => {
    const best = new Top();
    for (let i = 0; i < request.length; i++) {
      const host = request.row(i);
      if (host.flags & (HostFlag.Draining | HostFlag.Excluded | HostFlag.HasCopy)) continue;
      best.offer(i, host.freeMemory);
    }
    for (let i = 0; i < best.length; i++) PlaceAnswers.add(best.row(i), 0, Reason.Free);
  });
}
