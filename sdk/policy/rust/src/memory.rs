//! The module's memory: the stack, then static data, then the configuration, then the request with room for the answer.
//!
//! There is no allocator. The host asks for room with `mesh_buf`, and for more when a request is larger than any before;
//! memory is never given back, so a module is as small as the largest request it has seen.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Requests begin at multiples of this.
const ALIGN: usize = 16;

// A module has one thread; atomics are plain variables there.

/// What `mesh_buf` has given last: its address and size. The host writes to it as often as it likes.
static BUFFER: AtomicUsize = AtomicUsize::new(0);
static ROOM: AtomicUsize = AtomicUsize::new(0);

/// The configuration, and where the next buffer begins: behind it. 0 is at the start of the heap.
static CONFIG: AtomicUsize = AtomicUsize::new(0);
static CONFIG_LEN: AtomicUsize = AtomicUsize::new(0);
static BASE: AtomicUsize = AtomicUsize::new(0);

fn align(n: usize) -> usize {
    (n + ALIGN - 1) & !(ALIGN - 1)
}

/// `mesh_buf`: the address of at least `size` bytes, or 0 when the host's limit on memory does not allow them.
pub fn buffer(size: i32) -> i32 {
    let room = size as u32 as usize;
    let start = match BASE.load(Relaxed) {
        0 => heap_start(),
        base => base,
    };
    match start.checked_add(room) {
        Some(end) if grow_to(end) => {
            BUFFER.store(start, Relaxed);
            ROOM.store(room, Relaxed);
            start as i32
        }
        _ => 0,
    }
}

/// The first `len` bytes of the buffer, for a call that has just begun; none when the host was not given as many.
///
/// # Safety
/// The slice is dropped before the call returns. One exists at a time.
pub unsafe fn request(len: i32) -> &'static mut [u8] {
    match len as u32 as usize {
        len if len > 0 && len <= ROOM.load(Relaxed) => core::slice::from_raw_parts_mut(BUFFER.load(Relaxed) as *mut u8, len),
        _ => &mut [],
    }
}

/// Copies `len` bytes from the buffer to behind it, where requests do not overwrite them. False: there is no memory for them.
pub fn keep_config(len: i32) -> bool {
    // SAFETY: the host wrote the configuration before this call, and nothing else reads the buffer now.
    let config: &[u8] = unsafe { request(len) };
    let to = align(BUFFER.load(Relaxed) + ROOM.load(Relaxed));
    if !grow_to(to + align(config.len())) {
        return false;
    }
    // SAFETY: to is behind the buffer, and memory reaches that far.
    unsafe { core::ptr::copy_nonoverlapping(config.as_ptr(), to as *mut u8, config.len()) };
    CONFIG.store(to, Relaxed);
    CONFIG_LEN.store(config.len(), Relaxed);
    BASE.store(to + align(config.len()), Relaxed);
    true
}

/// The configuration as it was given, empty before `mesh_configure`.
pub fn config() -> &'static [u8] {
    match CONFIG_LEN.load(Relaxed) {
        0 => &[],
        // SAFETY: keep_config put it there, and nothing else is put there after it.
        len => unsafe { core::slice::from_raw_parts(CONFIG.load(Relaxed) as *const u8, len) },
    }
}

#[cfg(target_arch = "wasm32")]
mod platform {
    const PAGE: usize = 65536;

    extern "C" {
        /// Set by the linker: its address is the end of static data.
        static __heap_base: u8;
    }

    pub fn heap_start() -> usize {
        // SAFETY: only the address is taken.
        super::align(unsafe { core::ptr::addr_of!(__heap_base) } as usize)
    }

    pub fn grow_to(end: usize) -> bool {
        let have = core::arch::wasm32::memory_size(0) * PAGE;
        end <= have || core::arch::wasm32::memory_grow(0, (end - have + PAGE - 1) / PAGE) != usize::MAX
    }
}

/// Elsewhere than in a module, as in `cargo test`, there is no buffer: tests call their own functions.
#[cfg(not(target_arch = "wasm32"))]
mod platform {
    pub fn heap_start() -> usize {
        super::ALIGN
    }

    pub fn grow_to(_end: usize) -> bool {
        false
    }
}

use platform::{grow_to, heap_start};
