import { evict, EvictAnswers, Header, Reason } from "wasmesh-policy";

/** The copy that was used least recently goes first. */
export function mesh_evict(length: i32): i32 {
  return evict(length, (request) => {
    for (let i = 0; i < request.length; i++) {
      const unusedMs = Header.nowMs() - request.row(i).lastUsedMs;
      EvictAnswers.add(i, <i32>(-unusedMs / 60000), Reason.Recency);
    }
  });
}
