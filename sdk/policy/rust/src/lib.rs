//! Policies for Wasmesh: where models are loaded, what is evicted, how status reads.
//!
//! A policy is a function for each hook that it decides, named in [`policy!`]:
//!
//! ```
//! # mod hello {
//! use wasmesh_policy::*;
//!
//! policy! { place: place }
//!
//! /// The hosts with most free memory first.
//! fn place(request: PlaceRequest, ranking: &mut PlaceAnswers) {
//!     let out = HostFlag::DRAINING | HostFlag::EXCLUDED | HostFlag::HAS_COPY;
//!     let mut best = Top::<_, 32>::new();
//!     for (i, host) in request.rows().enumerate().filter(|(_, host)| !host.flags().any(out)) {
//!         best.offer(i, host.free_memory());
//!     }
//!     best.iter().for_each(|&(row, _)| ranking.add(row, 0, Reason::FREE));
//! }
//! # }
//! ```
//!
//! A function that writes no answer abstains, and the mesh's built-in policy decides. Decisions are functions of the request
//! and the configuration: there is no clock but [`Header::now_ms`], no randomness but [`Header::seed`], and nothing is to be
//! kept between calls. Panics, endless loops and wrong answers harm nobody: the instance is thrown away, the built-in
//! policy decides, and a generation that does it again is rolled back.
//!
//! The crate is `no_std`, has no dependencies, and has no allocator: [`Top`] ranks without one. Built for another target
//! than `wasm32-unknown-unknown` it does nothing, so that `cargo test` can run a policy's own functions.
#![cfg_attr(not(test), no_std)]
#![warn(missing_docs)]

#[allow(missing_docs)] // Of fields whose names say it all.
mod abi;
pub mod config;
pub mod log;
mod memory;
mod top;

pub use abi::*;
pub use top::Top;

/// Makes a module of functions. In any order and each at most once:
///
/// - `place: f`, `f(PlaceRequest, &mut PlaceAnswers)`: names the hosts to load on, best first;
/// - `evict: f`, `f(EvictRequest, &mut EvictAnswers)`: says what each copy is worth keeping, and names each one;
/// - `status: f`, `f(StatusRequest, &mut StatusAnswers)`: says how a status reads;
/// - `config: ["key", ...]`: the keys of the configuration, see [`config::int`].
#[macro_export]
macro_rules! policy {
    ($($what:ident : $how:tt),+ $(,)?) => {
        $($crate::__export!($what $how);)+

        #[cfg_attr(target_arch = "wasm32", no_mangle)]
        pub extern "C" fn mesh_abi() -> i32 {
            $crate::ABI_VERSION
        }

        #[cfg_attr(target_arch = "wasm32", no_mangle)]
        pub extern "C" fn mesh_buf(size: i32) -> i32 {
            $crate::__buffer(size)
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    (place $f:tt) => { $crate::__hook!(mesh_place PlaceRequest $f); };
    (evict $f:tt) => { $crate::__hook!(mesh_evict EvictRequest $f); };
    (status $f:tt) => { $crate::__hook!(mesh_status StatusRequest $f); };
    (config [$($key:literal),* $(,)?]) => {
        #[cfg_attr(target_arch = "wasm32", no_mangle)]
        pub extern "C" fn mesh_configure(len: i32) -> i32 {
            $crate::__configure(len, &[$($key),*])
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __hook {
    ($export:ident $request:ident $f:tt) => {
        #[cfg_attr(target_arch = "wasm32", no_mangle)]
        pub extern "C" fn $export(len: i32) -> i32 {
            // SAFETY: it is dropped with the answers, before this returns.
            match $crate::$request::open(unsafe { $crate::__request(len) }) {
                Ok((request, mut answers)) => {
                    $f(request, &mut answers);
                    answers.written()
                }
                Err(error) => -(error as i32),
            }
        }
    };
}

#[doc(hidden)]
pub fn __buffer(size: i32) -> i32 {
    memory::buffer(size)
}

/// # Safety
/// As of `memory::request`.
#[doc(hidden)]
pub unsafe fn __request(len: i32) -> &'static mut [u8] {
    memory::request(len)
}

#[doc(hidden)]
pub fn __configure(len: i32, keys: &[&str]) -> i32 {
    if memory::keep_config(len) && config::check(keys) { 0 } else { CallError::Config as i32 }
}

/// A panic traps: the host throws the instance away and decides without it.
#[cfg(target_arch = "wasm32")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
