// The configuration: lines of key=integer, blank lines, and comments that begin with #.

import { CallError, LogLevel } from "./abi";
import { log, logBytes } from "./log";
import { configSize, configStart, keepConfig } from "./memory";

/**
 * What a policy with a configuration exports as mesh_configure:
 *
 *     export function mesh_configure(length: i32): i32 { return configure(length, ["keep_free_permille", "max_queue"]); }
 *
 * A configuration with another key than these, or with a value that is not an integer, is refused before it is ever used,
 * and what is wrong is logged.
 */
export function configure(length: i32, keys: StaticArray<string>): i32 {
  keepConfig(length);
  const end = configStart() + configSize();
  for (let at = configStart(); at < end; ) {
    const stop = lineEnd(at, end);
    const from = skipBlanks(at, stop);
    const to = dropBlanks(from, stop);
    at = stop + 1;
    if (from == to || load<u8>(from) == HASH) continue;
    const equals = find(from, to, EQUALS);
    if (equals == to || !isInteger(skipBlanks(equals + 1, to), to)) return refuse("configuration: not key=integer:", from, to);
    if (!known(from, dropBlanks(from, equals), keys)) return refuse("configuration: unknown key in:", from, to);
  }
  return 0;
}

/** The value of `key`, or `fallback` when the configuration does not have it. Reading scans the text: read once per decision. */
export function configInt(key: string, fallback: i64): i64 {
  let value = fallback;
  const end = configStart() + configSize();
  for (let at = configStart(); at < end; ) {
    const stop = lineEnd(at, end);
    const from = skipBlanks(at, stop);
    const to = dropBlanks(from, stop);
    at = stop + 1;
    const equals = find(from, to, EQUALS);
    if (equals == to || !same(from, dropBlanks(from, equals), key)) continue;
    value = parse(skipBlanks(equals + 1, to), to); // The last one counts.
  }
  return value;
}

const HASH: u8 = 0x23;
const EQUALS: u8 = 0x3d;
const MINUS: u8 = 0x2d;
const ZERO: u8 = 0x30;
const NEWLINE: u8 = 0x0a;

function refuse(why: string, from: usize, to: usize): i32 {
  log(LogLevel.Error, why);
  logBytes(LogLevel.Error, from, <i32>(to - from));
  return CallError.Config;
}

function find(from: usize, to: usize, byte: u8): usize {
  while (from < to && load<u8>(from) != byte) from++;
  return from;
}

function lineEnd(from: usize, to: usize): usize {
  return find(from, to, NEWLINE);
}

function isBlank(byte: u8): bool {
  return byte == 0x20 || byte == 0x09 || byte == 0x0d;
}

function skipBlanks(from: usize, to: usize): usize {
  while (from < to && isBlank(load<u8>(from))) from++;
  return from;
}

function dropBlanks(from: usize, to: usize): usize {
  while (from < to && isBlank(load<u8>(to - 1))) to--;
  return to;
}

function same(from: usize, to: usize, text: string): bool {
  if (<i32>(to - from) != text.length) return false;
  for (let i = 0; i < text.length; i++) {
    if (load<u8>(from + i) != text.charCodeAt(i)) return false;
  }
  return true;
}

function known(from: usize, to: usize, keys: StaticArray<string>): bool {
  for (let i = 0; i < keys.length; i++) {
    if (same(from, to, keys[i])) return true;
  }
  return false;
}

// A decimal integer of 64 bits.
function isInteger(from: usize, to: usize): bool {
  let limit = <u64>i64.MAX_VALUE;
  if (from < to && load<u8>(from) == MINUS) {
    from++;
    limit++;
  }
  if (from == to) return false;
  let value: u64 = 0;
  for (; from < to; from++) {
    const digit = <u64>load<u8>(from) - <u64>ZERO;
    if (digit > 9 || value > (limit - digit) / 10) return false;
    value = value * 10 + digit;
  }
  return true;
}

// Of what isInteger takes.
function parse(from: usize, to: usize): i64 {
  const negative = load<u8>(from) == MINUS;
  let value: u64 = 0;
  for (let at = negative ? from + 1 : from; at < to; at++) value = value * 10 + <u64>(load<u8>(at) - ZERO);
  return negative ? <i64>(0 - value) : <i64>value;
}
