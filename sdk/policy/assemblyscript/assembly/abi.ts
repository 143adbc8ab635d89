// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.
//
// Reads requests and writes answers in place. Each request is checked once, when it is opened; after that no accessor reads
// outside of it, and a field that the host did not know when it was built reads as 0. There is one request at a time.

/** What mesh_abi returns: major << 16 | minor. */
export const ABI_VERSION: i32 = 65536;

const MAJOR: u16 = 1;
const MAGIC: u32 = 0x3152504d;

/** What a policy decides. 0 is nothing or unknown. */
export const enum Hook {
  /** ranks hosts for a load */
  Place = 1,
  /** says how much each copy is worth keeping */
  Evict = 2,
  /** says how the status of an object reads */
  Status = 3,
  /** reserved */
  Route = 4,
  /** reserved */
  Scale = 5,
}

/** Why a copy is to be loaded, or memory to be found. 0 is nothing or unknown. */
export const enum Purpose {
  /** a request waits */
  Miss = 1,
  /** the copies there are are too busy */
  Scale = 2,
  /** a host that leaves hands it over */
  Drain = 3,
  /** the owner asked for more copies than there are */
  MinCopies = 4,
  /** evicted elsewhere though still useful */
  Rebalance = 5,
  /** new, changed or on standby, and no request waits */
  Background = 6,
  /** nothing is loaded: the keep-values are wanted for a host's reclaim curve */
  Worth = 7,
}

/** Why a policy answered what it answered, for people. Policies may use values from 1000 on for reasons of their own. 0 is nothing or unknown. */
export const enum Reason {
  /** enough memory is free */
  Free = 1,
  /** what has to go there is worth least */
  LeastLost = 2,
  /** its zone has fewer copies */
  Zone = 3,
  /** it is the fullest that still has room */
  Packed = 4,
  /** it has just started */
  Warming = 5,
  /** it has many loads or requests */
  Busy = 6,
  /** it has a copy already */
  HasCopy = 7,
  /** it is leaving, or the asker excluded it */
  Excluded = 8,
  /** it could never hold the model */
  TooSmall = 9,
  /** by when it was last used */
  Recency = 10,
  /** by how often it is used, what a reload costs, and its size */
  Rate = 11,
  /** it was loaded a moment ago */
  Fresh = 12,
  /** its owner gave it another priority */
  Priority = 13,
  /** by how often it was used since its load */
  Frequency = 14,
  /** what has to go there was unused for longest */
  OldestCache = 15,
}

/** State of a model in a status, in the order of ModelMesh's words. 0 is nothing or unknown. */
export const enum ModelState {
  /** nobody has taken note of it */
  Pending = 1,
  /** no copy is in memory; the next request loads it */
  Standby = 2,
  /** a copy is on its way */
  Loading = 3,
  /** a copy is in memory */
  Loaded = 4,
  /** no copy could be loaded */
  FailedToLoad = 5,
}

/** How far an object is from its spec. 0 is nothing or unknown. */
export const enum Transition {
  /** the model of the spec answers */
  UpToDate = 1,
  /** the model of the changed spec is on its way */
  InProgress = 2,
  /** the model of the changed spec failed to load */
  BlockedByFailedLoad = 3,
  /** no model can be made of the spec */
  InvalidSpec = 4,
}

/** What is wrong with a model. 0 is nothing or unknown. */
export const enum Failure {
  /** storage, credentials or the model itself */
  ModelLoadFailed = 1,
  /** no runtime that supports it is up */
  RuntimeUnhealthy = 2,
  /** the runtime it names does not exist */
  RuntimeNotRecognized = 3,
  /** no declared runtime supports its format */
  NoSupportingRuntime = 4,
  /** its spec is wrong */
  InvalidPredictorSpec = 5,
  /** the runtime it names is disabled */
  RuntimeDisabled = 6,
}

/** Of mesh_v1.log. 0 is nothing or unknown. */
export const enum LogLevel {
  Debug = 1,
  Info = 2,
  Warn = 3,
  Error = 4,
}

/** Why a module could not decide; a hook returns its negative. Modules may use values from 1000 on for reasons of their own. 0 is nothing or unknown. */
export const enum CallError {
  /** the request is not one */
  Malformed = 1,
  /** the request is of another major version */
  Version = 2,
  /** the request is for another hook */
  Hook = 3,
  /** the configuration is not understood */
  Config = 4,
}

/** Header.flags. */
export const enum RequestFlag {
  /** the answer is compared and not used */
  Shadow = 1 << 0,
  /** a recorded decision is asked again */
  Replay = 1 << 1,
  /** the generation is being tried before it is used */
  Preflight = 1 << 2,
}

/** PlaceContext.flags and EvictContext.flags. */
export const enum ModelFlag {
  /** never evicted */
  Pinned = 1 << 0,
  /** the size is the owner's word, not an estimate */
  Declared = 1 << 1,
}

/** PlaceRow.flags. */
export const enum HostFlag {
  /** leaves the mesh */
  Draining = 1 << 0,
  /** has joined a moment ago */
  Warming = 1 << 1,
  /** in the zone of the host that asks */
  SameZone = 1 << 2,
  /** holds, queues or loads the model */
  HasCopy = 1 << 3,
  /** failed to load the model a moment ago, or is to be relieved of it */
  Excluded = 1 << 4,
  /** the host that asks */
  Self = 1 << 5,
  /** its runtime is the model's first choice */
  Preferred = 1 << 6,
}

/** EvictRow.flags. A copy with Pinned, Loading or InFlight is never evicted, whatever it is said to be worth. */
export const enum CopyFlag {
  /** its owner forbids to evict it */
  Pinned = 1 << 0,
  /** it is not loaded yet */
  Loading = 1 << 1,
  /** it answers requests now */
  InFlight = 1 << 2,
}

/** StatusContext.flags. */
export const enum StatusFlag {
  /** there is no model, and there never was one */
  Homeless = 1 << 0,
  /** every host has reported: what is not told of does not exist */
  Reached = 1 << 1,
}

/** StatusRow.flags. */
export const enum RevisionFlag {
  /** the model of the changed spec; else the one that answers */
  Target = 1 << 0,
  /** failed on a host before, and has not been loaded since */
  Refused = 1 << 1,
  /** every ready host of a runtime that supports it knows it */
  Considered = 1 << 2,
}

// Of the request that is open.
let base: usize = 0;
let headerKnown: u32 = 0;
let context: usize = 0;
let contextKnown: u32 = 0;
let rows: usize = 0;
let rowKnown: u32 = 0;
let rowCount: i32 = 0;
let strings: usize = 0;
let stringsLength: u32 = 0;
let response: usize = 0;
let responseEnd: usize = 0;
let written: usize = 0;

// Checks the request: 0, or the negative CallError that the hook is to return.
function open(at: usize, length: i32, hook: i32, answer: u32, one: bool): i32 {
  const size = <u64><u32>length;
  if (size < 80 || load<u32>(at, 0) != MAGIC || load<u32>(at, 12) != size) return -CallError.Malformed;
  if (load<u16>(at, 4) != MAJOR) return -CallError.Version;
  if (load<u16>(at, 16) != hook) return -CallError.Hook;
  const count = load<u32>(at, 20);
  const answers: u32 = one ? 1 : count;
  headerKnown = load<u32>(at, 8);
  contextKnown = load<u32>(at, 52);
  rowKnown = load<u32>(at, 60);
  stringsLength = load<u32>(at, 68);
  const contextAt = <u64>load<u32>(at, 48), rowsAt = <u64>load<u32>(at, 56);
  const stringsAt = <u64>load<u32>(at, 64), responseAt = <u64>load<u32>(at, 72);
  const room = <u64>load<u32>(at, 76);
  if (count > <u32>length || rowKnown % 8 != 0 || (rowKnown == 0 && count > 0)) return -CallError.Malformed;
  if (
    headerKnown < 80 || headerKnown > contextAt || contextAt + contextKnown > rowsAt ||
    rowsAt + <u64>rowKnown * count > stringsAt || stringsAt + stringsLength > responseAt ||
    responseAt + room > size || <u64>answers * answer > room
  ) {
    return -CallError.Malformed;
  }
  base = at;
  context = at + <usize>contextAt;
  rows = at + <usize>rowsAt;
  rowCount = <i32>count;
  strings = at + <usize>stringsAt;
  response = at + <usize>responseAt;
  responseEnd = response + <usize>room;
  written = response;
  return 0;
}

// Whether there is text at a reference of a record whose host knew size bytes of it.
@inline
function has(record: usize, size: u32, offset: u32): bool {
  return size >= offset + 8 && <u64>load<u32>(record + offset) + load<u32>(record + offset, 4) <= stringsLength;
}

/** Starts every request. The encoder computes what describes the request itself. */
export namespace Header {
  /** MPR1 */
  // @ts-ignore: decorator
  @inline
  export function magic(): u32 {
    return headerKnown >= 4 ? load<u32>(base, 0) : 0;
  }
  /** of the host */
  // @ts-ignore: decorator
  @inline
  export function abiMajor(): u16 {
    return headerKnown >= 6 ? load<u16>(base, 4) : 0;
  }
  /** of the host */
  // @ts-ignore: decorator
  @inline
  export function abiMinor(): u16 {
    return headerKnown >= 8 ? load<u16>(base, 6) : 0;
  }
  /** of this struct as the host knows it, bytes */
  // @ts-ignore: decorator
  @inline
  export function headerSize(): u32 {
    return headerKnown >= 12 ? load<u32>(base, 8) : 0;
  }
  /** of the request, response area included, bytes */
  // @ts-ignore: decorator
  @inline
  export function totalLen(): u32 {
    return headerKnown >= 16 ? load<u32>(base, 12) : 0;
  }
  /** what is asked */
  // @ts-ignore: decorator
  @inline
  export function hook(): u16 {
    return headerKnown >= 18 ? load<u16>(base, 16) : 0;
  }
  // @ts-ignore: decorator
  @inline
  export function flags(): u16 {
    return headerKnown >= 20 ? load<u16>(base, 18) : 0;
  }
  /** rows */
  // @ts-ignore: decorator
  @inline
  export function rowCount(): u32 {
    return headerKnown >= 24 ? load<u32>(base, 20) : 0;
  }
  /** of this decision, unique on its host */
  // @ts-ignore: decorator
  @inline
  export function decisionID(): u64 {
    return headerKnown >= 32 ? load<u64>(base, 24) : 0;
  }
  /** the only clock there is, ms since 1970 */
  // @ts-ignore: decorator
  @inline
  export function nowMs(): i64 {
    return headerKnown >= 40 ? load<i64>(base, 32) : 0;
  }
  /** the only randomness there is */
  // @ts-ignore: decorator
  @inline
  export function seed(): u64 {
    return headerKnown >= 48 ? load<u64>(base, 40) : 0;
  }
  /** of the context, from the start of the request, bytes */
  // @ts-ignore: decorator
  @inline
  export function contextOff(): u32 {
    return headerKnown >= 52 ? load<u32>(base, 48) : 0;
  }
  /** of the context as the host knows it, bytes */
  // @ts-ignore: decorator
  @inline
  export function contextSize(): u32 {
    return headerKnown >= 56 ? load<u32>(base, 52) : 0;
  }
  /** of the first row, bytes */
  // @ts-ignore: decorator
  @inline
  export function rowsOff(): u32 {
    return headerKnown >= 60 ? load<u32>(base, 56) : 0;
  }
  /** of one row: the stride, bytes */
  // @ts-ignore: decorator
  @inline
  export function rowSize(): u32 {
    return headerKnown >= 64 ? load<u32>(base, 60) : 0;
  }
  /** of the UTF-8 that name_off counts in, bytes */
  // @ts-ignore: decorator
  @inline
  export function stringsOff(): u32 {
    return headerKnown >= 68 ? load<u32>(base, 64) : 0;
  }
  /** bytes */
  // @ts-ignore: decorator
  @inline
  export function stringsLen(): u32 {
    return headerKnown >= 72 ? load<u32>(base, 68) : 0;
  }
  /** where the answer goes, bytes */
  // @ts-ignore: decorator
  @inline
  export function responseOff(): u32 {
    return headerKnown >= 76 ? load<u32>(base, 72) : 0;
  }
  /** room for it, bytes */
  // @ts-ignore: decorator
  @inline
  export function responseCap(): u32 {
    return headerKnown >= 80 ? load<u32>(base, 76) : 0;
  }
}

/** What hook place is asked. Its getters are those of the context: The model that is to be loaded. */
@unmanaged
export class PlaceRequest {
  /** Checks the request: 0, or what the hook is to return. */
  static open(at: usize, length: i32): i32 {
    return open(at, length, Hook.Place, 16, false);
  }

  /** The request that is open. */
  @inline
  static get current(): PlaceRequest {
    return changetype<PlaceRequest>(context);
  }

  /** Number of rows. */
  @inline
  get length(): i32 {
    return rowCount;
  }

  /** The row. i must be below length. */
  @inline
  row(i: i32): PlaceRow {
    return changetype<PlaceRow>(rows + <usize>i * rowKnown);
  }


  /** of the model */
  @inline
  get modelKey(): u64 {
    return contextKnown >= 8 ? load<u64>(changetype<usize>(this), 0) : 0;
  }

  /** expected in the runtime's memory, bytes */
  @inline
  get needMemory(): i64 {
    return contextKnown >= 16 ? load<i64>(changetype<usize>(this), 8) : 0;
  }

  /** on its device, bytes */
  @inline
  get needDevice(): i64 {
    return contextKnown >= 24 ? load<i64>(changetype<usize>(this), 16) : 0;
  }

  /** slots */
  @inline
  get needSlots(): i64 {
    return contextKnown >= 32 ? load<i64>(changetype<usize>(this), 24) : 0;
  }

  /** a request last came, before the one that waits, ms since 1970 */
  @inline
  get lastUsedMs(): i64 {
    return contextKnown >= 40 ? load<i64>(changetype<usize>(this), 32) : 0;
  }

  /** decayed over hours, requests per 1e6 s */
  @inline
  get rate(): u64 {
    return contextKnown >= 48 ? load<u64>(changetype<usize>(this), 40) : 0;
  }

  /** decayed over minutes, requests per 1e6 s */
  @inline
  get rateRecent(): u64 {
    return contextKnown >= 56 ? load<u64>(changetype<usize>(this), 48) : 0;
  }

  /** a load takes, as measured, ms */
  @inline
  get loadMs(): u32 {
    return contextKnown >= 60 ? load<u32>(changetype<usize>(this), 56) : 0;
  }

  /** of its owner; higher is kept longer */
  @inline
  get priority(): i32 {
    return contextKnown >= 64 ? load<i32>(changetype<usize>(this), 60) : 0;
  }

  @inline
  get purpose(): u16 {
    return contextKnown >= 66 ? load<u16>(changetype<usize>(this), 64) : 0;
  }

  @inline
  get flags(): u16 {
    return contextKnown >= 68 ? load<u16>(changetype<usize>(this), 66) : 0;
  }

  /** of the host that asks; zones are numbered from 1 in each request */
  @inline
  get zone(): u16 {
    return contextKnown >= 70 ? load<u16>(changetype<usize>(this), 68) : 0;
  }

  /** there are, loading ones included */
  @inline
  get copies(): u16 {
    return contextKnown >= 72 ? load<u16>(changetype<usize>(this), 70) : 0;
  }

  /** model id */
  get name(): string {
    return String.UTF8.decodeUnsafe(this.nameAt, this.nameLength);
  }

  /** Address of the UTF-8 of the name. */
  get nameAt(): usize {
    return this.nameLength > 0 ? strings + load<u32>(changetype<usize>(this), 72) : 0;
  }

  /** Its length in bytes. */
  get nameLength(): i32 {
    return has(changetype<usize>(this), contextKnown, 72) ? load<i32>(changetype<usize>(this), 76) : 0;
  }
}

/** One host. */
@unmanaged
export class PlaceRow {

  /** of the host's id, the same in every request */
  @inline
  get hostKey(): u64 {
    return rowKnown >= 8 ? load<u64>(changetype<usize>(this), 0) : 0;
  }

  @inline
  get flags(): u32 {
    return rowKnown >= 12 ? load<u32>(changetype<usize>(this), 8) : 0;
  }

  /** 0 when it has none */
  @inline
  get zone(): u16 {
    return rowKnown >= 14 ? load<u16>(changetype<usize>(this), 12) : 0;
  }

  /** copies of the model in its zone */
  @inline
  get zoneCopies(): u16 {
    return rowKnown >= 16 ? load<u16>(changetype<usize>(this), 14) : 0;
  }

  /** of the runtime's memory, bytes */
  @inline
  get freeMemory(): i64 {
    return rowKnown >= 24 ? load<i64>(changetype<usize>(this), 16) : 0;
  }

  /** bytes */
  @inline
  get freeDevice(): i64 {
    return rowKnown >= 32 ? load<i64>(changetype<usize>(this), 24) : 0;
  }

  @inline
  get freeSlots(): i64 {
    return rowKnown >= 40 ? load<i64>(changetype<usize>(this), 32) : 0;
  }

  /** bytes */
  @inline
  get capacityMemory(): i64 {
    return rowKnown >= 48 ? load<i64>(changetype<usize>(this), 40) : 0;
  }

  /** bytes */
  @inline
  get capacityDevice(): i64 {
    return rowKnown >= 56 ? load<i64>(changetype<usize>(this), 48) : 0;
  }

  @inline
  get capacitySlots(): i64 {
    return rowKnown >= 64 ? load<i64>(changetype<usize>(this), 56) : 0;
  }

  /** lost to free 1/16 of the capacity: the lowest keep-values of its evict policy, each at least 0, weighed by the memory that goes with them and added up, keep-value x MiB */
  @inline
  get reclaim16th(): i64 {
    return rowKnown >= 72 ? load<i64>(changetype<usize>(this), 64) : 0;
  }

  /** lost to free 1/8, keep-value x MiB */
  @inline
  get reclaim8th(): i64 {
    return rowKnown >= 80 ? load<i64>(changetype<usize>(this), 72) : 0;
  }

  /** lost to free 1/4, keep-value x MiB */
  @inline
  get reclaim4th(): i64 {
    return rowKnown >= 88 ? load<i64>(changetype<usize>(this), 80) : 0;
  }

  /** lost to free 1/2, keep-value x MiB */
  @inline
  get reclaimHalf(): i64 {
    return rowKnown >= 96 ? load<i64>(changetype<usize>(this), 88) : 0;
  }

  /** last use of its least recently used copy, ms since 1970 */
  @inline
  get oldestMs(): i64 {
    return rowKnown >= 104 ? load<i64>(changetype<usize>(this), 96) : 0;
  }

  /** start of the host, ms since 1970 */
  @inline
  get startedMs(): i64 {
    return rowKnown >= 112 ? load<i64>(changetype<usize>(this), 104) : 0;
  }

  @inline
  get loadsQueued(): u32 {
    return rowKnown >= 116 ? load<u32>(changetype<usize>(this), 112) : 0;
  }

  @inline
  get loadsRunning(): u32 {
    return rowKnown >= 120 ? load<u32>(changetype<usize>(this), 116) : 0;
  }

  /** requests */
  @inline
  get inFlight(): u32 {
    return rowKnown >= 124 ? load<u32>(changetype<usize>(this), 120) : 0;
  }

  /** of all models */
  @inline
  get copies(): u32 {
    return rowKnown >= 128 ? load<u32>(changetype<usize>(this), 124) : 0;
  }

  /** all requests that it serves, requests per 1e6 s */
  @inline
  get rate(): u64 {
    return rowKnown >= 136 ? load<u64>(changetype<usize>(this), 128) : 0;
  }

  /** host id */
  get name(): string {
    return String.UTF8.decodeUnsafe(this.nameAt, this.nameLength);
  }

  /** Address of the UTF-8 of the name. */
  get nameAt(): usize {
    return this.nameLength > 0 ? strings + load<u32>(changetype<usize>(this), 136) : 0;
  }

  /** Its length in bytes. */
  get nameLength(): i32 {
    return has(changetype<usize>(this), rowKnown, 136) ? load<i32>(changetype<usize>(this), 140) : 0;
  }
}

/** One host that the policy would load on. Best first; a host that is not named is not wanted. */
export namespace PlaceAnswers {
  /** Answers about a row. There is room for as many answers as rows; those beyond are dropped. */
  export function add(row: i32, score: i32, reason: i32): void {
    if (written + 16 > responseEnd) return;
    store<u32>(written, <u32>row, 0);
    store<i32>(written, <i32>score, 4);
    store<u16>(written, <u16>reason, 8);
    store<u16>(written, 0, 10);
    store<u32>(written, 0, 12);
    written += 16;
  }

  /** Bytes written: what the hook returns. 0 abstains. */
  export function length(): i32 {
    return <i32>(written - response);
  }
}

/** What hook evict is asked. Its getters are those of the context: What memory is wanted for. */
@unmanaged
export class EvictRequest {
  /** Checks the request: 0, or what the hook is to return. */
  static open(at: usize, length: i32): i32 {
    return open(at, length, Hook.Evict, 16, false);
  }

  /** The request that is open. */
  @inline
  static get current(): EvictRequest {
    return changetype<EvictRequest>(context);
  }

  /** Number of rows. */
  @inline
  get length(): i32 {
    return rowCount;
  }

  /** The row. i must be below length. */
  @inline
  row(i: i32): EvictRow {
    return changetype<EvictRow>(rows + <usize>i * rowKnown);
  }


  /** of the model that is to come; 0 for none */
  @inline
  get modelKey(): u64 {
    return contextKnown >= 8 ? load<u64>(changetype<usize>(this), 0) : 0;
  }

  /** it is expected to take, bytes */
  @inline
  get needMemory(): i64 {
    return contextKnown >= 16 ? load<i64>(changetype<usize>(this), 8) : 0;
  }

  /** bytes */
  @inline
  get needDevice(): i64 {
    return contextKnown >= 24 ? load<i64>(changetype<usize>(this), 16) : 0;
  }

  @inline
  get needSlots(): i64 {
    return contextKnown >= 32 ? load<i64>(changetype<usize>(this), 24) : 0;
  }

  /** bytes */
  @inline
  get freeMemory(): i64 {
    return contextKnown >= 40 ? load<i64>(changetype<usize>(this), 32) : 0;
  }

  /** bytes */
  @inline
  get freeDevice(): i64 {
    return contextKnown >= 48 ? load<i64>(changetype<usize>(this), 40) : 0;
  }

  @inline
  get freeSlots(): i64 {
    return contextKnown >= 56 ? load<i64>(changetype<usize>(this), 48) : 0;
  }

  /** bytes */
  @inline
  get capacityMemory(): i64 {
    return contextKnown >= 64 ? load<i64>(changetype<usize>(this), 56) : 0;
  }

  /** bytes */
  @inline
  get capacityDevice(): i64 {
    return contextKnown >= 72 ? load<i64>(changetype<usize>(this), 64) : 0;
  }

  @inline
  get capacitySlots(): i64 {
    return contextKnown >= 80 ? load<i64>(changetype<usize>(this), 72) : 0;
  }

  @inline
  get purpose(): u16 {
    return contextKnown >= 82 ? load<u16>(changetype<usize>(this), 80) : 0;
  }

  @inline
  get flags(): u16 {
    return contextKnown >= 84 ? load<u16>(changetype<usize>(this), 82) : 0;
  }

  /** of the model that is to come */
  @inline
  get priority(): i32 {
    return contextKnown >= 88 ? load<i32>(changetype<usize>(this), 84) : 0;
  }

  /** id of the model that is to come */
  get name(): string {
    return String.UTF8.decodeUnsafe(this.nameAt, this.nameLength);
  }

  /** Address of the UTF-8 of the name. */
  get nameAt(): usize {
    return this.nameLength > 0 ? strings + load<u32>(changetype<usize>(this), 88) : 0;
  }

  /** Its length in bytes. */
  get nameLength(): i32 {
    return has(changetype<usize>(this), contextKnown, 88) ? load<i32>(changetype<usize>(this), 92) : 0;
  }
}

/** One copy on this host. */
@unmanaged
export class EvictRow {

  /** of this load of the model */
  @inline
  get copyID(): u64 {
    return rowKnown >= 8 ? load<u64>(changetype<usize>(this), 0) : 0;
  }

  @inline
  get modelKey(): u64 {
    return rowKnown >= 16 ? load<u64>(changetype<usize>(this), 8) : 0;
  }

  /** it takes, bytes */
  @inline
  get sizeMemory(): i64 {
    return rowKnown >= 24 ? load<i64>(changetype<usize>(this), 16) : 0;
  }

  /** bytes */
  @inline
  get sizeDevice(): i64 {
    return rowKnown >= 32 ? load<i64>(changetype<usize>(this), 24) : 0;
  }

  @inline
  get sizeSlots(): i64 {
    return rowKnown >= 40 ? load<i64>(changetype<usize>(this), 32) : 0;
  }

  /** a request last came, ms since 1970 */
  @inline
  get lastUsedMs(): i64 {
    return rowKnown >= 48 ? load<i64>(changetype<usize>(this), 40) : 0;
  }

  /** its load ended, ms since 1970 */
  @inline
  get loadedAtMs(): i64 {
    return rowKnown >= 56 ? load<i64>(changetype<usize>(this), 48) : 0;
  }

  /** of the model on this host, decayed over hours; survives eviction, requests per 1e6 s */
  @inline
  get rate(): u64 {
    return rowKnown >= 64 ? load<u64>(changetype<usize>(this), 56) : 0;
  }

  /** decayed over minutes, requests per 1e6 s */
  @inline
  get rateRecent(): u64 {
    return rowKnown >= 72 ? load<u64>(changetype<usize>(this), 64) : 0;
  }

  /** requests since its load */
  @inline
  get uses(): u64 {
    return rowKnown >= 80 ? load<u64>(changetype<usize>(this), 72) : 0;
  }

  /** sum of the keep-values of what was evicted since its last use, each the largest of one eviction, tiers of priority aside: the clock of Greedy-Dual policies, keep-value */
  @inline
  get inflation(): i64 {
    return rowKnown >= 88 ? load<i64>(changetype<usize>(this), 80) : 0;
  }

  /** its load took, ms */
  @inline
  get loadMs(): u32 {
    return rowKnown >= 92 ? load<u32>(changetype<usize>(this), 88) : 0;
  }

  /** requests now */
  @inline
  get inFlight(): u32 {
    return rowKnown >= 96 ? load<u32>(changetype<usize>(this), 92) : 0;
  }

  /** of its owner; higher is kept longer */
  @inline
  get priority(): i32 {
    return rowKnown >= 100 ? load<i32>(changetype<usize>(this), 96) : 0;
  }

  @inline
  get flags(): u16 {
    return rowKnown >= 102 ? load<u16>(changetype<usize>(this), 100) : 0;
  }

  /** of the model on other hosts */
  @inline
  get copiesElsewhere(): u16 {
    return rowKnown >= 104 ? load<u16>(changetype<usize>(this), 102) : 0;
  }

  /** model id */
  get name(): string {
    return String.UTF8.decodeUnsafe(this.nameAt, this.nameLength);
  }

  /** Address of the UTF-8 of the name. */
  get nameAt(): usize {
    return this.nameLength > 0 ? strings + load<u32>(changetype<usize>(this), 104) : 0;
  }

  /** Its length in bytes. */
  get nameLength(): i32 {
    return has(changetype<usize>(this), rowKnown, 104) ? load<i32>(changetype<usize>(this), 108) : 0;
  }
}

/** What one copy is worth. Each row has exactly one answer. */
export namespace EvictAnswers {
  /** Answers about a row. There is room for as many answers as rows; those beyond are dropped. */
  export function add(row: i32, keep: i32, reason: i32): void {
    if (written + 16 > responseEnd) return;
    store<u32>(written, <u32>row, 0);
    store<i32>(written, <i32>keep, 4);
    store<u16>(written, <u16>reason, 8);
    store<u16>(written, 0, 10);
    store<u32>(written, 0, 12);
    written += 16;
  }

  /** Bytes written: what the hook returns. 0 abstains. */
  export function length(): i32 {
    return <i32>(written - response);
  }
}

/** What hook status is asked. Its getters are those of the context: One InferenceService or Predictor. */
@unmanaged
export class StatusRequest {
  /** Checks the request: 0, or what the hook is to return. */
  static open(at: usize, length: i32): i32 {
    return open(at, length, Hook.Status, 16, true);
  }

  /** The request that is open. */
  @inline
  static get current(): StatusRequest {
    return changetype<StatusRequest>(context);
  }

  /** Number of rows. */
  @inline
  get length(): i32 {
    return rowCount;
  }

  /** The row. i must be below length. */
  @inline
  row(i: i32): StatusRow {
    return changetype<StatusRow>(rows + <usize>i * rowKnown);
  }


  @inline
  get flags(): u32 {
    return contextKnown >= 4 ? load<u32>(changetype<usize>(this), 0) : 0;
  }

  /** as the controller sees it: which model answers is not a policy's decision */
  @inline
  get transition(): u16 {
    return contextKnown >= 6 ? load<u16>(changetype<usize>(this), 4) : 0;
  }

  /** why no model can be made of the spec */
  @inline
  get specFault(): u16 {
    return contextKnown >= 8 ? load<u16>(changetype<usize>(this), 6) : 0;
  }

  /** in its namespace */
  @inline
  get hostsConnected(): u32 {
    return contextKnown >= 12 ? load<u32>(changetype<usize>(this), 8) : 0;
  }

  /** in the present status */
  @inline
  get previousTransition(): u16 {
    return contextKnown >= 14 ? load<u16>(changetype<usize>(this), 12) : 0;
  }

  /** in the present status */
  @inline
  get previousFailure(): u16 {
    return contextKnown >= 16 ? load<u16>(changetype<usize>(this), 14) : 0;
  }

  /** namespace/kind/name */
  get name(): string {
    return String.UTF8.decodeUnsafe(this.nameAt, this.nameLength);
  }

  /** Address of the UTF-8 of the name. */
  get nameAt(): usize {
    return this.nameLength > 0 ? strings + load<u32>(changetype<usize>(this), 16) : 0;
  }

  /** Its length in bytes. */
  get nameLength(): i32 {
    return has(changetype<usize>(this), contextKnown, 16) ? load<i32>(changetype<usize>(this), 20) : 0;
  }
}

/** One model of the object, the one that answers first, then the target of a change if there is one. */
@unmanaged
export class StatusRow {

  @inline
  get modelKey(): u64 {
    return rowKnown >= 8 ? load<u64>(changetype<usize>(this), 0) : 0;
  }

  /** time of its newest failure, ms since 1970 */
  @inline
  get failedAtMs(): i64 {
    return rowKnown >= 16 ? load<i64>(changetype<usize>(this), 8) : 0;
  }

  /** it is tried again; 0 when only a change can help, ms since 1970 */
  @inline
  get retryAtMs(): i64 {
    return rowKnown >= 24 ? load<i64>(changetype<usize>(this), 16) : 0;
  }

  /** copies in memory */
  @inline
  get loaded(): u32 {
    return rowKnown >= 28 ? load<u32>(changetype<usize>(this), 24) : 0;
  }

  /** copies queued or loading */
  @inline
  get loading(): u32 {
    return rowKnown >= 32 ? load<u32>(changetype<usize>(this), 28) : 0;
  }

  /** copies that leave */
  @inline
  get draining(): u32 {
    return rowKnown >= 36 ? load<u32>(changetype<usize>(this), 32) : 0;
  }

  /** copies that failed */
  @inline
  get failed(): u32 {
    return rowKnown >= 40 ? load<u32>(changetype<usize>(this), 36) : 0;
  }

  /** with a runtime that supports it and is up */
  @inline
  get hostsReady(): u32 {
    return rowKnown >= 44 ? load<u32>(changetype<usize>(this), 40) : 0;
  }

  /** with a runtime that supports it and is not up */
  @inline
  get hostsWaiting(): u32 {
    return rowKnown >= 48 ? load<u32>(changetype<usize>(this), 44) : 0;
  }

  @inline
  get flags(): u16 {
    return rowKnown >= 50 ? load<u16>(changetype<usize>(this), 48) : 0;
  }

  /** of its copies, as their hosts told it */
  @inline
  get newestFailure(): u16 {
    return rowKnown >= 52 ? load<u16>(changetype<usize>(this), 50) : 0;
  }

  /** why no declared runtime can hold it */
  @inline
  get unsupported(): u16 {
    return rowKnown >= 54 ? load<u16>(changetype<usize>(this), 52) : 0;
  }

  /** in the present status */
  @inline
  get previousState(): u16 {
    return rowKnown >= 56 ? load<u16>(changetype<usize>(this), 54) : 0;
  }

  /** model id */
  get name(): string {
    return String.UTF8.decodeUnsafe(this.nameAt, this.nameLength);
  }

  /** Address of the UTF-8 of the name. */
  get nameAt(): usize {
    return this.nameLength > 0 ? strings + load<u32>(changetype<usize>(this), 56) : 0;
  }

  /** Its length in bytes. */
  get nameLength(): i32 {
    return has(changetype<usize>(this), rowKnown, 56) ? load<i32>(changetype<usize>(this), 60) : 0;
  }
}

/** How the status reads. There is exactly one. */
export namespace StatusAnswers {
  /** Writes the one answer. */
  export function set(transition: i32, activeState: i32, targetState: i32, activeFailure: i32, targetFailure: i32, ready: i32): void {
    written = response;
    if (written + 16 > responseEnd) return;
    store<u16>(written, <u16>transition, 0);
    store<u16>(written, <u16>activeState, 2);
    store<u16>(written, <u16>targetState, 4);
    store<u16>(written, <u16>activeFailure, 6);
    store<u16>(written, <u16>targetFailure, 8);
    store<u16>(written, <u16>ready, 10);
    store<u32>(written, 0, 12);
    written += 16;
  }

  /** Bytes written: what the hook returns. 0 abstains. */
  export function length(): i32 {
    return <i32>(written - response);
  }
}

