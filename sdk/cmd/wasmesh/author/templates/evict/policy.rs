#![no_std]
use wasmesh_policy::*;

policy! { evict: evict }

/// The copy that was used least recently goes first.
fn evict(request: EvictRequest, keep: &mut EvictAnswers) {
    for (i, copy) in request.rows().enumerate() {
        let unused_ms = request.header().now_ms().wrapping_sub(copy.last_used_ms());
        keep.add(i, (unused_ms / -60_000) as i32, Reason::RECENCY);
    }
}
