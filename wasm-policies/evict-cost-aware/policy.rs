//! Keeps what would soon be loaded again at a high price for the memory it takes; see README.md. The mesh's built-in
//! eviction is the same policy in Go, integer for integer: a change of either changes both.
#![no_std]

use wasmesh_policy::*;

policy! { evict: evict, config: ["recent_divisor", "bursts", "priorities"] }

fn evict(request: EvictRequest, keep: &mut EvictAnswers) {
    let now = request.header().now_ms().max(0);
    let scale = Scale::of(request.context());
    let recent_divisor = config::int("recent_divisor", 2).clamp(1, 1_000_000);
    let priorities = config::int("priorities", 1) != 0;
    let bursts = if config::int("bursts", 1) != 0 { burst_share(request, now) } else { 0 };
    for (i, copy) in request.rows().enumerate() {
        let (usage, fresh) = expected_use(copy, now, recent_divisor, bursts);
        let priority = if priorities { copy.priority() } else { 0 };
        let reason = if fresh { Reason::FRESH } else { Reason::RATE };
        keep.add(i, in_tier(priority, compress(worth(copy, usage, &scale))), reason);
    }
}

// Bounds within which no product below leaves 63 bits. Real values are within them.
const MAX_USE: i64 = 1 << 40; // expected uses per 1e9 s: 1100 a second
const MAX_PAUSES: u64 = 1 << 20; // between uses
const MAX_LOAD_MS: u32 = 1 << 22; // 70 minutes
const MAX_AGE: i64 = 1 << 42; // ms, 139 years

/// The room for the worth of copies of one priority: 16 tiers of it on each side of 0 fill an i32.
const TIER_WIDTH: i32 = 1 << 27;

/// A copy of lower priority goes first. Priorities beyond -16 and 15 count as these. A worth is below TIER_WIDTH.
fn in_tier(priority: i32, worth: i32) -> i32 {
    priority.max(-16).min(15) * TIER_WIDTH + worth
}

/// Where compress turns from linear to logarithmic.
const LINEAR_BITS: u32 = 22;

/// Maps what is not negative below TIER_WIDTH, growing with it: up to 2^22 itself, so that sums of what is worth little
/// mean what they say, and from there each doubling takes 2^21 more.
fn compress(v: i64) -> i32 {
    let bits = 64 - v.leading_zeros();
    if bits <= LINEAR_BITS {
        return v as i32;
    }
    let octaves = bits - LINEAR_BITS;
    ((octaves << (LINEAR_BITS - 1)) as i64 + (v >> octaves)) as i32
}

/// How often the model is going to be asked for, in uses per 1e9 s, as far as its past tells: the decayed rate of hours, or
/// half of that of minutes when this is more; but no more than once in the time for which it has not been used, for otherwise
/// it would have been, and half if that is six of its pauses. On a host of bursts it is how soon it comes back. With it,
/// whether it is the rate of minutes that counts.
fn expected_use(copy: EvictRow, now: i64, recent_divisor: i64, bursts: i64) -> (i64, bool) {
    let thousand = |rate: u64| rate.min(MAX_USE as u64 / 1000) as i64 * 1000;
    let (hours, minutes) = (thousand(copy.rate()), thousand(copy.rate_recent()) / recent_divisor);
    let once = once_per(idle(copy, now));
    let mut usage = hours.max(minutes).min(once);
    if overdue(copy, now, 6) {
        usage /= 2;
    }
    // What is used in bursts comes back once in the time for which it has not been used, less what is unsure of it.
    let seen = i64::from(64 - copy.uses().leading_zeros()).max(1).min(8);
    ((usage * (ALL_BURSTS - bursts) + once * seen / 8 * bursts) / ALL_BURSTS, minutes > hours)
}

/// The most that burst_share answers.
const ALL_BURSTS: i64 = 256;

/// How far a host's models are used in bursts: by the share of its copies that have paused for three times their mean pause,
/// from a fifth on, and wholly from three tenths on.
fn burst_share(request: EvictRequest, now: i64) -> i64 {
    let (mut copies, mut lapsed) = (0, 0);
    for copy in request.rows() {
        copies += 1;
        lapsed += i64::from(overdue(copy, now, 3));
    }
    (lapsed * (10 * ALL_BURSTS) / copies.max(1) - 2 * ALL_BURSTS).max(0).min(ALL_BURSTS)
}

/// Whether a copy has not been used for so many times the mean pause between its uses since its load. One that was used once,
/// or whose load is unknown, is not.
fn overdue(copy: EvictRow, now: i64, pauses: i64) -> bool {
    let uses = copy.uses().min(MAX_PAUSES + 1) as i64;
    if uses < 2 || copy.loaded_at_ms() <= 0 {
        return false;
    }
    let used = idle(copy, now);
    used * (uses - 1) > pauses * (since(now, copy.loaded_at_ms()) - used).max(0)
}

/// One use in that time, in uses per 1e9 s, and MAX_USE at most.
fn once_per(ms: i64) -> i64 {
    (1_000_000_000_000 / ms.max(1)).min(MAX_USE)
}

/// For how long a copy has not been used, in ms. With requests in flight it is in use now.
fn idle(copy: EvictRow, now: i64) -> i64 {
    if copy.in_flight() > 0 { 0 } else { since(now, copy.last_used_ms()) }
}

/// How long ago that was, in ms: 0 for the future, MAX_AGE for the unknown.
fn since(now: i64, then: i64) -> i64 {
    if then <= 0 { MAX_AGE } else { (now - then).max(0).min(MAX_AGE) }
}

/// The load time that is lost without the copy, by the time without it and the memory that it takes: uses per 1e9 s x ms of
/// load / (16 KiB), divided by the number of copies that share the use.
fn worth(copy: EvictRow, usage: i64, scale: &Scale) -> i64 {
    let load_ms = i64::from(copy.load_ms().max(1).min(MAX_LOAD_MS));
    usage * load_ms / scale.size(copy) / (i64::from(copy.copies_elsewhere()) + 1)
}

/// The whole of a capacity, as shares count.
const WHOLE: i64 = 1 << 16;

/// The unit of Scale, and the least that a copy counts for.
const BLOCK_BYTES: i64 = 1 << 14;

/// Bounds what a copy counts for: 2^60 bytes.
const MAX_BLOCKS: i64 = 1 << 46;

/// Turns what a copy takes into one number, which is positive: blocks of the first capacity that is counted, memory before
/// device, or what would be as large a share of it as the copy has of another. So whatever is scarce counts.
struct Scale {
    // Capacities; 0 and less are not counted.
    memory: i64,
    device: i64,
    slots: i64,
    /// Of the capacity that is the measure; 0 when none is counted.
    blocks: i64,
}

impl Scale {
    fn of(host: EvictContext) -> Scale {
        let (memory, device, slots) = (host.capacity_memory(), host.capacity_device(), host.capacity_slots());
        let blocks = match () {
            _ if memory > 0 => blocks_of(memory),
            _ if device > 0 => blocks_of(device),
            _ if slots > 0 => WHOLE,
            _ => 0,
        };
        Scale { memory, device, slots, blocks }
    }

    /// What a copy takes. Without any capacity its memory is all there is to go by.
    fn size(&self, copy: EvictRow) -> i64 {
        let mut blocks = match () {
            _ if self.memory > 0 || self.blocks == 0 => blocks_of(copy.size_memory()),
            _ if self.device > 0 => blocks_of(copy.size_device()),
            _ => 1,
        };
        if self.memory > 0 && self.device > 0 {
            blocks = blocks.max(share(copy.size_device(), self.device) * self.blocks / WHOLE);
        }
        if self.slots > 0 {
            blocks = blocks.max(share(copy.size_slots(), self.slots) * self.blocks / WHOLE);
        }
        blocks
    }
}

/// Rounds up, to one at least.
fn blocks_of(bytes: i64) -> i64 {
    (bytes.max(1).min(MAX_BLOCKS * BLOCK_BYTES) + BLOCK_BYTES - 1) / BLOCK_BYTES
}

/// part/all in 65536ths, at least 1 for any part at all, at most the whole. all is positive.
fn share(part: i64, all: i64) -> i64 {
    if part <= 0 {
        return 0;
    }
    if part >= all {
        return WHOLE;
    }
    let shift = 18u32.saturating_sub(all.leading_zeros()); // To 46 bits.
    ((part >> shift) * WHOLE / (all >> shift)).max(1)
}
