//! Ranks hosts in the order that ModelMesh documents; see README.md.
#![no_std]

use core::cmp::Reverse;
use wasmesh_policy::*;

policy! { place: place, config: ["busy_requests_per_minute", "random"] }

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// Hosts that are looked at closely, and named.
const RANKED: usize = 32;

fn place(request: PlaceRequest, ranking: &mut PlaceAnswers) {
    let mesh = Mesh {
        request,
        need: request.context(),
        now: request.header().now_ms(),
        busy: config::int("busy_requests_per_minute", 100).clamp(0, 1 << 40) as u64 * 1_000_000 / 60,
        random: config::int("random", 1) != 0,
    };
    let (mut hosts, mut preferred) = (Top::<_, RANKED>::new(), Top::<_, 1>::new());
    for i in 0..request.len() {
        if let Some(host) = mesh.host(i) {
            hosts.offer(i, host.order());
            if host.flags.has(HostFlag::PREFERRED) {
                preferred.offer(i, host.order());
            }
        }
    }
    let (mut rows, mut len) = ([0; RANKED], 0);
    for (to, &(row, _)) in rows.iter_mut().zip(hosts.iter()) {
        *to = row;
        len += 1;
    }
    if let Some(rows) = rows.get_mut(..len) {
        mesh.arrange(rows, preferred.iter().next().map(|&(row, _)| row));
        for &row in rows.iter() {
            mesh.answer(row, ranking);
        }
    }
}

/// What the decision depends on.
struct Mesh<'a> {
    request: PlaceRequest<'a>,
    need: PlaceContext<'a>,
    now: i64,
    /// Requests per 1e6 s. A host with fewer is never too busy.
    busy: u64,
    /// Whether one of the good hosts is chosen at random, as ModelMesh does.
    random: bool,
}

/// One host, as the placement order looks at it.
struct Host {
    full: bool,
    /// Milliseconds since its least recently used copy was used.
    age: i64,
    copies: u32,
    free: i64,
    loads: (u32, u32),
    capacity: i64,
    rate: u64,
    key: u64,
    flags: HostFlag,
}

impl Host {
    /// ModelMesh's placement order, the best highest: first those with room, by copies and room; then the full ones, the one
    /// with the oldest cache first.
    fn order(&self) -> impl Ord + Copy {
        let first = if self.full { self.age } else { 0 };
        let size = (Reverse(self.copies), self.free, self.age);
        (!self.full, first, size, Reverse(self.loads), self.capacity, Reverse((self.rate, self.key)))
    }
}

impl Mesh<'_> {
    /// None when the host is leaving, ruled out, has a copy, or could never hold the model.
    fn host(&self, i: usize) -> Option<Host> {
        let row = self.request.row(i);
        let resources = [
            (self.need.need_memory(), row.free_memory(), row.capacity_memory()),
            (self.need.need_device(), row.free_device(), row.capacity_device()),
            (self.need.need_slots(), row.free_slots(), row.capacity_slots()),
        ];
        let mut full = false;
        for (need, free, capacity) in resources {
            // A capacity of 0 means that nobody counts this.
            if capacity > 0 && need > capacity {
                return None;
            }
            full |= capacity > 0 && need > 0 && need > free;
        }
        if row.flags().any(HostFlag::DRAINING | HostFlag::EXCLUDED | HostFlag::HAS_COPY) {
            return None;
        }
        Some(Host {
            full,
            age: self.age(row.oldest_ms()),
            copies: row.copies(),
            free: row.free_memory(),
            loads: (row.loads_running(), row.loads_queued()),
            capacity: row.capacity_memory(),
            rate: row.rate(),
            key: row.host_key(),
            flags: row.flags(),
        })
    }

    /// Milliseconds since then. Without a then it is 0: a host that has no copies has none that is old.
    fn age(&self, then_ms: i64) -> i64 {
        if then_ms <= 0 { 0 } else { self.now.saturating_sub(then_ms).max(0) }
    }

    /// Puts the host to choose first: from hosts in order, and the first in order whose runtime is the model's first choice.
    fn arrange(&self, rows: &mut [usize], preferred: Option<usize>) {
        let best = rows.first().and_then(|&row| self.host(row));
        if let (Some(best), Some(row)) = (best, preferred) {
            if self.prefers(&best, row) {
                // It takes the place of the last one if it is not among them.
                let at = rows.iter().position(|&r| r == row).unwrap_or(rows.len() - 1);
                rows[at] = row;
                rows[..=at].rotate_right(1);
            }
        }
        let shortlist = self.shortlist(rows);
        let calm = self.calm(&mut rows[..shortlist]);
        if calm > 0 && self.random {
            // Each as likely as the others.
            let chosen = (self.request.header().seed() % calm as u64) as usize;
            rows[..=chosen].rotate_right(1);
        }
    }

    /// Whether the first host with the preferred runtime goes before the best: it has room, or is nearly as old where
    /// none has.
    fn prefers(&self, best: &Host, preferred: usize) -> bool {
        match self.host(preferred) {
            Some(host) if best.full => best.age - host.age <= (2 * MINUTE_MS).max(best.age / 4),
            Some(host) => !host.full,
            None => false,
        }
    }

    /// How many hosts from the first on are about as good as it. The host that asks takes what it is the best for.
    fn shortlist(&self, rows: &[usize]) -> usize {
        let best = match rows.first().and_then(|&row| self.host(row)) {
            Some(best) => best,
            None => return 0,
        };
        if best.flags.has(HostFlag::SELF) {
            return 1;
        }
        let near = |host: Host| {
            let few = host.copies < 10 || u64::from(host.copies) * 4 <= u64::from(best.copies) * 5;
            let alike = host.full == best.full && host.flags.has(HostFlag::PREFERRED) == best.flags.has(HostFlag::PREFERRED);
            alike && if best.full { (best.age - host.age).abs() <= 45_000.max(best.age / 10) } else { host.free >= best.free / 4 && few }
        };
        rows.iter().position(|&row| !self.host(row).map_or(false, near)).unwrap_or(rows.len())
    }

    /// Moves hosts that are much busier than the calmest to the end, and returns how many are left before them. The longer
    /// the model was not used, the busier its host may be.
    fn calm(&self, rows: &mut [usize]) -> usize {
        let idle = self.age(self.need.last_used_ms());
        let tenths = match () {
            _ if self.need.purpose() == Purpose::SCALE => 11,
            _ if self.need.last_used_ms() <= 0 || idle > 5 * DAY_MS => return rows.len(),
            _ if idle < 5_000 => 15,
            _ if idle < 12 * MINUTE_MS => 30,
            _ => 40,
        };
        let rate = |row: usize| self.request.row(row).rate();
        let least = rows.iter().map(|&row| rate(row)).min().unwrap_or(0);
        let most = least.min(u64::MAX / 64) * tenths / 10;
        let mut kept = 0;
        for i in 0..rows.len() {
            if rate(rows[i]) < self.busy || rate(rows[i]) <= most {
                rows[kept..=i].rotate_right(1);
                kept += 1;
            }
        }
        kept
    }

    /// The score is what the order looks at first: copies where there is room, minutes of age where there is not.
    fn answer(&self, row: usize, ranking: &mut PlaceAnswers) {
        let (score, reason) = match self.host(row) {
            Some(host) if host.full => (host.age / MINUTE_MS, Reason::OLDEST_CACHE),
            Some(host) => (-i64::from(host.copies), Reason::FREE),
            None => return,
        };
        ranking.add(row, score.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32, reason);
    }
}
