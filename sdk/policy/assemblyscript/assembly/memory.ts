// The module's memory: static data, then what top-level code allocated, then the configuration, then the request with room
// for the answer, then whatever a hook allocates.
//
// The runtime is the stub: allocation is a pointer that moves up, and nothing is ever freed. Each hook moves the pointer back
// to the end of the request first. So a hook may allocate as it likes and nothing leaks, but what it allocates must not be
// kept in a variable that outlives the call.

let buffer: usize = 0; // What mesh_buf has given last. The host writes to it as often as it likes.
let base: usize = 0; // Where the next buffer begins; 0 before the first.
let top: usize = 0; // Where hooks allocate: behind the buffer, and behind the configuration.
let config: usize = 0;
let configLength: i32 = 0;

// Before a block of the stub's heap lies its size; its content begins at a multiple of 16.
const OVERHEAD: usize = 4;
const ALIGN: usize = 16;

/** mesh_buf: the address of at least `size` bytes, or 0 when the host's limit on memory does not allow them. */
export function reserve(size: i32): usize {
  if (base == 0) base = heap.alloc(0); // All that is below is top-level code's.
  rewind(base);
  const end = <u64>base + <u64>(<u32>size) + 4 * <u64>ALIGN;
  const have = <u64>memory.size() << 16;
  if (end > have && memory.grow(<i32>((end - have + 0xffff) >> 16)) < 0) return 0;
  buffer = heap.alloc(<u32>size);
  top = heap.alloc(0);
  return buffer;
}

/** Begins a hook: frees what the one before it allocated, and answers the address of the request. */
export function request(): usize {
  rewind(top);
  return buffer;
}

/** mesh_configure: copies `length` bytes from the buffer to where requests do not overwrite them, behind all there is. */
export function keepConfig(length: i32): void {
  config = heap.alloc(<u32>length);
  memory.copy(config, buffer, <u32>length);
  configLength = length;
  base = top = heap.alloc(0);
}

/** The address of the configuration. */
export function configStart(): usize {
  return config;
}

/** Its length in bytes. */
export function configSize(): i32 {
  return configLength;
}

// Frees everything from there on: all is freed, and what is below taken again, as one block.
function rewind(to: usize): void {
  heap.reset();
  const start = (__heap_base + OVERHEAD + ALIGN - 1) & ~(ALIGN - 1);
  if (to <= start) return;
  const size = load<u32>(start - OVERHEAD); // Of the block that was there first.
  heap.alloc(to - OVERHEAD - start);
  store<u32>(start - OVERHEAD, size);
}
