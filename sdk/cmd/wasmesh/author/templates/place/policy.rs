#![no_std]
use wasmesh_policy::*;

policy! { place: place }

/// The hosts with most free memory first.
fn place(request: PlaceRequest, ranking: &mut PlaceAnswers) {
    let out = HostFlag::DRAINING | HostFlag::EXCLUDED | HostFlag::HAS_COPY;
    let mut best = Top::<_, 32>::new();
    for (i, host) in request.rows().enumerate().filter(|(_, host)| !host.flags().any(out)) {
        best.offer(i, host.free_memory());
    }
    best.iter().for_each(|&(row, _)| ranking.add(row, 0, Reason::FREE));
}
