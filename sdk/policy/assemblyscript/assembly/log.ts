// Lines for people, in the host's log. The host bounds what a call may log and drops the rest.

// @ts-ignore: decorator
@external("mesh_v1", "log")
declare function hostLog(level: i32, text: usize, length: i32): void;

/** Logs a line. `level` is a LogLevel. Numbers go in with toString() and template literals, which add some 2 KiB. */
export function log(level: i32, text: string): void {
  const bytes = String.UTF8.encode(text);
  hostLog(level, changetype<usize>(bytes), bytes.byteLength);
}

/** Logs UTF-8 in memory. */
export function logBytes(level: i32, at: usize, length: i32): void {
  hostLog(level, at, length);
}
