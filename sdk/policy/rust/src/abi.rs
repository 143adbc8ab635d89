// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.

//! Reads requests and writes answers in place. Each request is checked once, when it is opened; after that no accessor
//! panics, and a field that the host did not know when it was built reads as 0.

/// What `mesh_abi` returns: major << 16 | minor.
pub const ABI_VERSION: i32 = 65536;

const MAJOR: u16 = 1;
const MAGIC: u32 = 0x3152504d;

/// What a policy decides. 0 is nothing or unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hook(pub u16);

impl Hook {
    /// ranks hosts for a load
    pub const PLACE: Hook = Hook(1);
    /// says how much each copy is worth keeping
    pub const EVICT: Hook = Hook(2);
    /// says how the status of an object reads
    pub const STATUS: Hook = Hook(3);
    /// reserved
    pub const ROUTE: Hook = Hook(4);
    /// reserved
    pub const SCALE: Hook = Hook(5);
}

/// Why a copy is to be loaded, or memory to be found. 0 is nothing or unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Purpose(pub u16);

impl Purpose {
    /// a request waits
    pub const MISS: Purpose = Purpose(1);
    /// the copies there are are too busy
    pub const SCALE: Purpose = Purpose(2);
    /// a host that leaves hands it over
    pub const DRAIN: Purpose = Purpose(3);
    /// the owner asked for more copies than there are
    pub const MIN_COPIES: Purpose = Purpose(4);
    /// evicted elsewhere though still useful
    pub const REBALANCE: Purpose = Purpose(5);
    /// new, changed or on standby, and no request waits
    pub const BACKGROUND: Purpose = Purpose(6);
    /// nothing is loaded: the keep-values are wanted for a host's reclaim curve
    pub const WORTH: Purpose = Purpose(7);
}

/// Why a policy answered what it answered, for people. Policies may use values from 1000 on for reasons of their own. 0 is nothing or unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason(pub u16);

impl Reason {
    /// enough memory is free
    pub const FREE: Reason = Reason(1);
    /// what has to go there is worth least
    pub const LEAST_LOST: Reason = Reason(2);
    /// its zone has fewer copies
    pub const ZONE: Reason = Reason(3);
    /// it is the fullest that still has room
    pub const PACKED: Reason = Reason(4);
    /// it has just started
    pub const WARMING: Reason = Reason(5);
    /// it has many loads or requests
    pub const BUSY: Reason = Reason(6);
    /// it has a copy already
    pub const HAS_COPY: Reason = Reason(7);
    /// it is leaving, or the asker excluded it
    pub const EXCLUDED: Reason = Reason(8);
    /// it could never hold the model
    pub const TOO_SMALL: Reason = Reason(9);
    /// by when it was last used
    pub const RECENCY: Reason = Reason(10);
    /// by how often it is used, what a reload costs, and its size
    pub const RATE: Reason = Reason(11);
    /// it was loaded a moment ago
    pub const FRESH: Reason = Reason(12);
    /// its owner gave it another priority
    pub const PRIORITY: Reason = Reason(13);
    /// by how often it was used since its load
    pub const FREQUENCY: Reason = Reason(14);
    /// what has to go there was unused for longest
    pub const OLDEST_CACHE: Reason = Reason(15);
}

/// State of a model in a status, in the order of ModelMesh's words. 0 is nothing or unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModelState(pub u16);

impl ModelState {
    /// nobody has taken note of it
    pub const PENDING: ModelState = ModelState(1);
    /// no copy is in memory; the next request loads it
    pub const STANDBY: ModelState = ModelState(2);
    /// a copy is on its way
    pub const LOADING: ModelState = ModelState(3);
    /// a copy is in memory
    pub const LOADED: ModelState = ModelState(4);
    /// no copy could be loaded
    pub const FAILED_TO_LOAD: ModelState = ModelState(5);
}

/// How far an object is from its spec. 0 is nothing or unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Transition(pub u16);

impl Transition {
    /// the model of the spec answers
    pub const UP_TO_DATE: Transition = Transition(1);
    /// the model of the changed spec is on its way
    pub const IN_PROGRESS: Transition = Transition(2);
    /// the model of the changed spec failed to load
    pub const BLOCKED_BY_FAILED_LOAD: Transition = Transition(3);
    /// no model can be made of the spec
    pub const INVALID_SPEC: Transition = Transition(4);
}

/// What is wrong with a model. 0 is nothing or unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failure(pub u16);

impl Failure {
    /// storage, credentials or the model itself
    pub const MODEL_LOAD_FAILED: Failure = Failure(1);
    /// no runtime that supports it is up
    pub const RUNTIME_UNHEALTHY: Failure = Failure(2);
    /// the runtime it names does not exist
    pub const RUNTIME_NOT_RECOGNIZED: Failure = Failure(3);
    /// no declared runtime supports its format
    pub const NO_SUPPORTING_RUNTIME: Failure = Failure(4);
    /// its spec is wrong
    pub const INVALID_PREDICTOR_SPEC: Failure = Failure(5);
    /// the runtime it names is disabled
    pub const RUNTIME_DISABLED: Failure = Failure(6);
}

/// Of mesh_v1.log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum LogLevel {
    Debug = 1,
    Info = 2,
    Warn = 3,
    Error = 4,
}

/// Why a module could not decide; a hook returns its negative. Modules may use values from 1000 on for reasons of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum CallError {
    /// the request is not one
    Malformed = 1,
    /// the request is of another major version
    Version = 2,
    /// the request is for another hook
    Hook = 3,
    /// the configuration is not understood
    Config = 4,
}

/// Header.flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestFlag(pub u16);

impl RequestFlag {
    /// the answer is compared and not used
    pub const SHADOW: RequestFlag = RequestFlag(1 << 0);
    /// a recorded decision is asked again
    pub const REPLAY: RequestFlag = RequestFlag(1 << 1);
    /// the generation is being tried before it is used
    pub const PREFLIGHT: RequestFlag = RequestFlag(1 << 2);

    /// Whether all of these flags are set.
    pub fn has(self, flags: RequestFlag) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether one of these flags is set.
    pub fn any(self, flags: RequestFlag) -> bool {
        self.0 & flags.0 != 0
    }
}

impl core::ops::BitOr for RequestFlag {
    type Output = RequestFlag;
    fn bitor(self, other: RequestFlag) -> RequestFlag {
        RequestFlag(self.0 | other.0)
    }
}

/// PlaceContext.flags and EvictContext.flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelFlag(pub u16);

impl ModelFlag {
    /// never evicted
    pub const PINNED: ModelFlag = ModelFlag(1 << 0);
    /// the size is the owner's word, not an estimate
    pub const DECLARED: ModelFlag = ModelFlag(1 << 1);

    /// Whether all of these flags are set.
    pub fn has(self, flags: ModelFlag) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether one of these flags is set.
    pub fn any(self, flags: ModelFlag) -> bool {
        self.0 & flags.0 != 0
    }
}

impl core::ops::BitOr for ModelFlag {
    type Output = ModelFlag;
    fn bitor(self, other: ModelFlag) -> ModelFlag {
        ModelFlag(self.0 | other.0)
    }
}

/// PlaceRow.flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostFlag(pub u32);

impl HostFlag {
    /// leaves the mesh
    pub const DRAINING: HostFlag = HostFlag(1 << 0);
    /// has joined a moment ago
    pub const WARMING: HostFlag = HostFlag(1 << 1);
    /// in the zone of the host that asks
    pub const SAME_ZONE: HostFlag = HostFlag(1 << 2);
    /// holds, queues or loads the model
    pub const HAS_COPY: HostFlag = HostFlag(1 << 3);
    /// failed to load the model a moment ago, or is to be relieved of it
    pub const EXCLUDED: HostFlag = HostFlag(1 << 4);
    /// the host that asks
    pub const SELF: HostFlag = HostFlag(1 << 5);
    /// its runtime is the model's first choice
    pub const PREFERRED: HostFlag = HostFlag(1 << 6);

    /// Whether all of these flags are set.
    pub fn has(self, flags: HostFlag) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether one of these flags is set.
    pub fn any(self, flags: HostFlag) -> bool {
        self.0 & flags.0 != 0
    }
}

impl core::ops::BitOr for HostFlag {
    type Output = HostFlag;
    fn bitor(self, other: HostFlag) -> HostFlag {
        HostFlag(self.0 | other.0)
    }
}

/// EvictRow.flags. A copy with Pinned, Loading or InFlight is never evicted, whatever it is said to be worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyFlag(pub u16);

impl CopyFlag {
    /// its owner forbids to evict it
    pub const PINNED: CopyFlag = CopyFlag(1 << 0);
    /// it is not loaded yet
    pub const LOADING: CopyFlag = CopyFlag(1 << 1);
    /// it answers requests now
    pub const IN_FLIGHT: CopyFlag = CopyFlag(1 << 2);

    /// Whether all of these flags are set.
    pub fn has(self, flags: CopyFlag) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether one of these flags is set.
    pub fn any(self, flags: CopyFlag) -> bool {
        self.0 & flags.0 != 0
    }
}

impl core::ops::BitOr for CopyFlag {
    type Output = CopyFlag;
    fn bitor(self, other: CopyFlag) -> CopyFlag {
        CopyFlag(self.0 | other.0)
    }
}

/// StatusContext.flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusFlag(pub u32);

impl StatusFlag {
    /// there is no model, and there never was one
    pub const HOMELESS: StatusFlag = StatusFlag(1 << 0);
    /// every host has reported: what is not told of does not exist
    pub const REACHED: StatusFlag = StatusFlag(1 << 1);

    /// Whether all of these flags are set.
    pub fn has(self, flags: StatusFlag) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether one of these flags is set.
    pub fn any(self, flags: StatusFlag) -> bool {
        self.0 & flags.0 != 0
    }
}

impl core::ops::BitOr for StatusFlag {
    type Output = StatusFlag;
    fn bitor(self, other: StatusFlag) -> StatusFlag {
        StatusFlag(self.0 | other.0)
    }
}

/// StatusRow.flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RevisionFlag(pub u16);

impl RevisionFlag {
    /// the model of the changed spec; else the one that answers
    pub const TARGET: RevisionFlag = RevisionFlag(1 << 0);
    /// failed on a host before, and has not been loaded since
    pub const REFUSED: RevisionFlag = RevisionFlag(1 << 1);
    /// every ready host of a runtime that supports it knows it
    pub const CONSIDERED: RevisionFlag = RevisionFlag(1 << 2);

    /// Whether all of these flags are set.
    pub fn has(self, flags: RevisionFlag) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether one of these flags is set.
    pub fn any(self, flags: RevisionFlag) -> bool {
        self.0 & flags.0 != 0
    }
}

impl core::ops::BitOr for RevisionFlag {
    type Output = RevisionFlag;
    fn bitor(self, other: RevisionFlag) -> RevisionFlag {
        RevisionFlag(self.0 | other.0)
    }
}

/// One struct of a request: `bytes` is what the host knew of it.
#[derive(Clone, Copy)]
struct Record<'a> {
    bytes: &'a [u8],
    strings: &'a [u8],
}

impl<'a> Record<'a> {
    #[inline(always)]
    fn u16(self, offset: usize) -> u16 {
        match self.bytes.get(offset..offset + 2) {
            Some(b) => u16::from_le_bytes([b[0], b[1]]),
            None => 0,
        }
    }

    #[inline(always)]
    fn u32(self, offset: usize) -> u32 {
        match self.bytes.get(offset..offset + 4) {
            Some(b) => u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            None => 0,
        }
    }

    #[inline(always)]
    fn u64(self, offset: usize) -> u64 {
        match self.bytes.get(offset..offset + 8) {
            Some(b) => u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]),
            None => 0,
        }
    }

    /// Empty when it is not within the strings.
    fn text(self, offset: usize) -> &'a [u8] {
        let start = self.u32(offset) as usize;
        let rest = self.strings.get(start..).unwrap_or(&[]);
        rest.get(..self.u32(offset + 4) as usize).unwrap_or(&[])
    }
}

/// A request that was checked.
#[derive(Clone, Copy)]
struct Request<'a> {
    header: Record<'a>,
    context: Record<'a>,
    rows: &'a [u8],
    size: usize,
    count: usize,
}

/// The bytes from `offset` on, `size` of them, if they begin where the part before ends or later.
fn part(bytes: &[u8], before: u64, offset: u32, size: u64) -> Result<&[u8], CallError> {
    let (start, end) = (u64::from(offset), u64::from(offset).wrapping_add(size));
    if start < before || end > bytes.len() as u64 || size > bytes.len() as u64 {
        return Err(CallError::Malformed);
    }
    bytes.get(start as usize..end as usize).ok_or(CallError::Malformed)
}

fn open(bytes: &mut [u8], hook: Hook, answer: u64, one: bool) -> Result<(Request<'_>, &mut [u8]), CallError> {
    let h = Record { bytes, strings: &[] };
    if bytes.len() < 80 || h.u32(0) != MAGIC || u64::from(h.u32(12)) != bytes.len() as u64 {
        return Err(CallError::Malformed);
    }
    if h.u16(4) != MAJOR {
        return Err(CallError::Version);
    }
    if h.u16(16) != hook.0 {
        return Err(CallError::Hook);
    }
    let (size, count) = (u64::from(h.u32(60)), u64::from(h.u32(20)));
    let answers = if one { answer } else { answer * count };
    let header_size = u64::from(h.u32(8));
    let (response_off, response_cap) = (h.u32(72), u64::from(h.u32(76)));
    if header_size < 80 || size % 8 != 0 || (size == 0 && count > 0) || count > bytes.len() as u64 || response_cap < answers {
        return Err(CallError::Malformed);
    }
    let end = |offset: usize, size: u64| u64::from(h.u32(offset)) + size;
    let (strings_end, rows_end) = (end(64, u64::from(h.u32(68))), end(56, size * count));
    let context_end = end(48, u64::from(h.u32(52)));
    part(bytes, strings_end, response_off, response_cap)?;

    let (asked, rest) = bytes.split_at_mut(response_off as usize);
    let asked: &[u8] = asked;
    let h = Record { bytes: asked, strings: &[] };
    let strings = part(asked, rows_end, h.u32(64), u64::from(h.u32(68)))?;
    let request = Request {
        header: Record { bytes: part(asked, 0, 0, header_size)?, strings },
        context: Record { bytes: part(asked, header_size, h.u32(48), u64::from(h.u32(52)))?, strings },
        rows: part(asked, context_end, h.u32(56), size * count)?,
        size: size as usize,
        count: count as usize,
    };
    match rest.get_mut(..response_cap as usize) {
        Some(response) => Ok((request, response)),
        None => Err(CallError::Malformed),
    }
}

/// Starts every request. The encoder computes what describes the request itself.
#[derive(Clone, Copy)]
pub struct Header<'a>(Record<'a>);

impl<'a> Header<'a> {
    /// MPR1
    #[inline(always)]
    pub fn magic(self) -> u32 {
        self.0.u32(0)
    }
    /// of the host
    #[inline(always)]
    pub fn abi_major(self) -> u16 {
        self.0.u16(4)
    }
    /// of the host
    #[inline(always)]
    pub fn abi_minor(self) -> u16 {
        self.0.u16(6)
    }
    /// of this struct as the host knows it, bytes
    #[inline(always)]
    pub fn header_size(self) -> u32 {
        self.0.u32(8)
    }
    /// of the request, response area included, bytes
    #[inline(always)]
    pub fn total_len(self) -> u32 {
        self.0.u32(12)
    }
    /// what is asked
    #[inline(always)]
    pub fn hook(self) -> Hook {
        Hook(self.0.u16(16))
    }
    #[inline(always)]
    pub fn flags(self) -> RequestFlag {
        RequestFlag(self.0.u16(18))
    }
    /// rows
    #[inline(always)]
    pub fn row_count(self) -> u32 {
        self.0.u32(20)
    }
    /// of this decision, unique on its host
    #[inline(always)]
    pub fn decision_id(self) -> u64 {
        self.0.u64(24)
    }
    /// the only clock there is, ms since 1970
    #[inline(always)]
    pub fn now_ms(self) -> i64 {
        self.0.u64(32) as i64
    }
    /// the only randomness there is
    #[inline(always)]
    pub fn seed(self) -> u64 {
        self.0.u64(40)
    }
    /// of the context, from the start of the request, bytes
    #[inline(always)]
    pub fn context_off(self) -> u32 {
        self.0.u32(48)
    }
    /// of the context as the host knows it, bytes
    #[inline(always)]
    pub fn context_size(self) -> u32 {
        self.0.u32(52)
    }
    /// of the first row, bytes
    #[inline(always)]
    pub fn rows_off(self) -> u32 {
        self.0.u32(56)
    }
    /// of one row: the stride, bytes
    #[inline(always)]
    pub fn row_size(self) -> u32 {
        self.0.u32(60)
    }
    /// of the UTF-8 that name_off counts in, bytes
    #[inline(always)]
    pub fn strings_off(self) -> u32 {
        self.0.u32(64)
    }
    /// bytes
    #[inline(always)]
    pub fn strings_len(self) -> u32 {
        self.0.u32(68)
    }
    /// where the answer goes, bytes
    #[inline(always)]
    pub fn response_off(self) -> u32 {
        self.0.u32(72)
    }
    /// room for it, bytes
    #[inline(always)]
    pub fn response_cap(self) -> u32 {
        self.0.u32(76)
    }
}

/// What hook place is asked.
#[derive(Clone, Copy)]
pub struct PlaceRequest<'a>(Request<'a>);

impl<'a> PlaceRequest<'a> {
    /// Checks the request. The hook returns the negative of the error.
    pub fn open(bytes: &'a mut [u8]) -> Result<(PlaceRequest<'a>, PlaceAnswers<'a>), CallError> {
        let (request, response) = open(bytes, Hook::PLACE, 16, false)?;
        Ok((PlaceRequest(request), PlaceAnswers { response, written: 0 }))
    }

    /// The header.
    pub fn header(self) -> Header<'a> {
        Header(self.0.header)
    }

    /// The context.
    #[inline(always)]
    pub fn context(self) -> PlaceContext<'a> {
        PlaceContext(self.0.context)
    }

    /// Number of rows.
    #[inline(always)]
    pub fn len(self) -> usize {
        self.0.count
    }

    /// Whether there is no row.
    pub fn is_empty(self) -> bool {
        self.0.count == 0
    }

    /// The row; all its fields are 0 when `i` is not below `len`.
    #[inline(always)]
    pub fn row(self, i: usize) -> PlaceRow<'a> {
        let start = i.wrapping_mul(self.0.size);
        let bytes = if i < self.0.count { self.0.rows.get(start..start + self.0.size) } else { None };
        PlaceRow(Record { bytes: bytes.unwrap_or(&[]), strings: self.0.context.strings })
    }

    /// All rows in order.
    #[inline(always)]
    pub fn rows(self) -> impl Iterator<Item = PlaceRow<'a>> {
        (0..self.0.count).map(move |i| self.row(i))
    }
}

/// The model that is to be loaded.
#[derive(Clone, Copy)]
pub struct PlaceContext<'a>(Record<'a>);

impl<'a> PlaceContext<'a> {
    /// of the model
    #[inline(always)]
    pub fn model_key(self) -> u64 {
        self.0.u64(0)
    }
    /// expected in the runtime's memory, bytes
    #[inline(always)]
    pub fn need_memory(self) -> i64 {
        self.0.u64(8) as i64
    }
    /// on its device, bytes
    #[inline(always)]
    pub fn need_device(self) -> i64 {
        self.0.u64(16) as i64
    }
    /// slots
    #[inline(always)]
    pub fn need_slots(self) -> i64 {
        self.0.u64(24) as i64
    }
    /// a request last came, before the one that waits, ms since 1970
    #[inline(always)]
    pub fn last_used_ms(self) -> i64 {
        self.0.u64(32) as i64
    }
    /// decayed over hours, requests per 1e6 s
    #[inline(always)]
    pub fn rate(self) -> u64 {
        self.0.u64(40)
    }
    /// decayed over minutes, requests per 1e6 s
    #[inline(always)]
    pub fn rate_recent(self) -> u64 {
        self.0.u64(48)
    }
    /// a load takes, as measured, ms
    #[inline(always)]
    pub fn load_ms(self) -> u32 {
        self.0.u32(56)
    }
    /// of its owner; higher is kept longer
    #[inline(always)]
    pub fn priority(self) -> i32 {
        self.0.u32(60) as i32
    }
    #[inline(always)]
    pub fn purpose(self) -> Purpose {
        Purpose(self.0.u16(64))
    }
    #[inline(always)]
    pub fn flags(self) -> ModelFlag {
        ModelFlag(self.0.u16(66))
    }
    /// of the host that asks; zones are numbered from 1 in each request
    #[inline(always)]
    pub fn zone(self) -> u16 {
        self.0.u16(68)
    }
    /// there are, loading ones included
    #[inline(always)]
    pub fn copies(self) -> u16 {
        self.0.u16(70)
    }
    /// model id, in UTF-8
    pub fn name(self) -> &'a [u8] {
        self.0.text(72)
    }
}

/// One host.
#[derive(Clone, Copy)]
pub struct PlaceRow<'a>(Record<'a>);

impl<'a> PlaceRow<'a> {
    /// of the host's id, the same in every request
    #[inline(always)]
    pub fn host_key(self) -> u64 {
        self.0.u64(0)
    }
    #[inline(always)]
    pub fn flags(self) -> HostFlag {
        HostFlag(self.0.u32(8))
    }
    /// 0 when it has none
    #[inline(always)]
    pub fn zone(self) -> u16 {
        self.0.u16(12)
    }
    /// copies of the model in its zone
    #[inline(always)]
    pub fn zone_copies(self) -> u16 {
        self.0.u16(14)
    }
    /// of the runtime's memory, bytes
    #[inline(always)]
    pub fn free_memory(self) -> i64 {
        self.0.u64(16) as i64
    }
    /// bytes
    #[inline(always)]
    pub fn free_device(self) -> i64 {
        self.0.u64(24) as i64
    }
    #[inline(always)]
    pub fn free_slots(self) -> i64 {
        self.0.u64(32) as i64
    }
    /// bytes
    #[inline(always)]
    pub fn capacity_memory(self) -> i64 {
        self.0.u64(40) as i64
    }
    /// bytes
    #[inline(always)]
    pub fn capacity_device(self) -> i64 {
        self.0.u64(48) as i64
    }
    #[inline(always)]
    pub fn capacity_slots(self) -> i64 {
        self.0.u64(56) as i64
    }
    /// lost to free 1/16 of the capacity: the lowest keep-values of its evict policy, each at least 0, weighed by the memory that goes with them and added up, keep-value x MiB
    #[inline(always)]
    pub fn reclaim_16th(self) -> i64 {
        self.0.u64(64) as i64
    }
    /// lost to free 1/8, keep-value x MiB
    #[inline(always)]
    pub fn reclaim_8th(self) -> i64 {
        self.0.u64(72) as i64
    }
    /// lost to free 1/4, keep-value x MiB
    #[inline(always)]
    pub fn reclaim_4th(self) -> i64 {
        self.0.u64(80) as i64
    }
    /// lost to free 1/2, keep-value x MiB
    #[inline(always)]
    pub fn reclaim_half(self) -> i64 {
        self.0.u64(88) as i64
    }
    /// last use of its least recently used copy, ms since 1970
    #[inline(always)]
    pub fn oldest_ms(self) -> i64 {
        self.0.u64(96) as i64
    }
    /// start of the host, ms since 1970
    #[inline(always)]
    pub fn started_ms(self) -> i64 {
        self.0.u64(104) as i64
    }
    #[inline(always)]
    pub fn loads_queued(self) -> u32 {
        self.0.u32(112)
    }
    #[inline(always)]
    pub fn loads_running(self) -> u32 {
        self.0.u32(116)
    }
    /// requests
    #[inline(always)]
    pub fn in_flight(self) -> u32 {
        self.0.u32(120)
    }
    /// of all models
    #[inline(always)]
    pub fn copies(self) -> u32 {
        self.0.u32(124)
    }
    /// all requests that it serves, requests per 1e6 s
    #[inline(always)]
    pub fn rate(self) -> u64 {
        self.0.u64(128)
    }
    /// host id, in UTF-8
    pub fn name(self) -> &'a [u8] {
        self.0.text(136)
    }
}

/// One host that the policy would load on. Best first; a host that is not named is not wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlaceAnswer {
    /// index of the host's row
    pub row: u32,
    /// for people; ranking is by order
    pub score: i32,
    pub reason: Reason,
}

/// Writes the answer in place. Nothing written means that the policy abstains.
pub struct PlaceAnswers<'a> {
    response: &'a mut [u8],
    written: usize,
}

impl<'a> PlaceAnswers<'a> {
    /// Answers about a row. There is room for as many answers as rows; those beyond are dropped.
    #[inline(always)]
    pub fn add(&mut self, row: usize, score: i32, reason: Reason) {
        self.push(PlaceAnswer { row: row as u32, score, reason });
    }

    #[inline(always)]
    fn push(&mut self, answer: PlaceAnswer) {
        if let Some(to) = self.response.get_mut(self.written..self.written + 16) {
            to[0..4].copy_from_slice(&answer.row.to_le_bytes());
            to[4..8].copy_from_slice(&answer.score.to_le_bytes());
            to[8..10].copy_from_slice(&answer.reason.0.to_le_bytes());
            to[10..12].fill(0);
            to[12..16].fill(0);
            self.written += 16;
        }
    }

    /// Bytes written: what the hook returns.
    pub fn written(&self) -> i32 {
        self.written as i32
    }
}

/// What hook evict is asked.
#[derive(Clone, Copy)]
pub struct EvictRequest<'a>(Request<'a>);

impl<'a> EvictRequest<'a> {
    /// Checks the request. The hook returns the negative of the error.
    pub fn open(bytes: &'a mut [u8]) -> Result<(EvictRequest<'a>, EvictAnswers<'a>), CallError> {
        let (request, response) = open(bytes, Hook::EVICT, 16, false)?;
        Ok((EvictRequest(request), EvictAnswers { response, written: 0 }))
    }

    /// The header.
    pub fn header(self) -> Header<'a> {
        Header(self.0.header)
    }

    /// The context.
    #[inline(always)]
    pub fn context(self) -> EvictContext<'a> {
        EvictContext(self.0.context)
    }

    /// Number of rows.
    #[inline(always)]
    pub fn len(self) -> usize {
        self.0.count
    }

    /// Whether there is no row.
    pub fn is_empty(self) -> bool {
        self.0.count == 0
    }

    /// The row; all its fields are 0 when `i` is not below `len`.
    #[inline(always)]
    pub fn row(self, i: usize) -> EvictRow<'a> {
        let start = i.wrapping_mul(self.0.size);
        let bytes = if i < self.0.count { self.0.rows.get(start..start + self.0.size) } else { None };
        EvictRow(Record { bytes: bytes.unwrap_or(&[]), strings: self.0.context.strings })
    }

    /// All rows in order.
    #[inline(always)]
    pub fn rows(self) -> impl Iterator<Item = EvictRow<'a>> {
        (0..self.0.count).map(move |i| self.row(i))
    }
}

/// What memory is wanted for.
#[derive(Clone, Copy)]
pub struct EvictContext<'a>(Record<'a>);

impl<'a> EvictContext<'a> {
    /// of the model that is to come; 0 for none
    #[inline(always)]
    pub fn model_key(self) -> u64 {
        self.0.u64(0)
    }
    /// it is expected to take, bytes
    #[inline(always)]
    pub fn need_memory(self) -> i64 {
        self.0.u64(8) as i64
    }
    /// bytes
    #[inline(always)]
    pub fn need_device(self) -> i64 {
        self.0.u64(16) as i64
    }
    #[inline(always)]
    pub fn need_slots(self) -> i64 {
        self.0.u64(24) as i64
    }
    /// bytes
    #[inline(always)]
    pub fn free_memory(self) -> i64 {
        self.0.u64(32) as i64
    }
    /// bytes
    #[inline(always)]
    pub fn free_device(self) -> i64 {
        self.0.u64(40) as i64
    }
    #[inline(always)]
    pub fn free_slots(self) -> i64 {
        self.0.u64(48) as i64
    }
    /// bytes
    #[inline(always)]
    pub fn capacity_memory(self) -> i64 {
        self.0.u64(56) as i64
    }
    /// bytes
    #[inline(always)]
    pub fn capacity_device(self) -> i64 {
        self.0.u64(64) as i64
    }
    #[inline(always)]
    pub fn capacity_slots(self) -> i64 {
        self.0.u64(72) as i64
    }
    #[inline(always)]
    pub fn purpose(self) -> Purpose {
        Purpose(self.0.u16(80))
    }
    #[inline(always)]
    pub fn flags(self) -> ModelFlag {
        ModelFlag(self.0.u16(82))
    }
    /// of the model that is to come
    #[inline(always)]
    pub fn priority(self) -> i32 {
        self.0.u32(84) as i32
    }
    /// id of the model that is to come, in UTF-8
    pub fn name(self) -> &'a [u8] {
        self.0.text(88)
    }
}

/// One copy on this host.
#[derive(Clone, Copy)]
pub struct EvictRow<'a>(Record<'a>);

impl<'a> EvictRow<'a> {
    /// of this load of the model
    #[inline(always)]
    pub fn copy_id(self) -> u64 {
        self.0.u64(0)
    }
    #[inline(always)]
    pub fn model_key(self) -> u64 {
        self.0.u64(8)
    }
    /// it takes, bytes
    #[inline(always)]
    pub fn size_memory(self) -> i64 {
        self.0.u64(16) as i64
    }
    /// bytes
    #[inline(always)]
    pub fn size_device(self) -> i64 {
        self.0.u64(24) as i64
    }
    #[inline(always)]
    pub fn size_slots(self) -> i64 {
        self.0.u64(32) as i64
    }
    /// a request last came, ms since 1970
    #[inline(always)]
    pub fn last_used_ms(self) -> i64 {
        self.0.u64(40) as i64
    }
    /// its load ended, ms since 1970
    #[inline(always)]
    pub fn loaded_at_ms(self) -> i64 {
        self.0.u64(48) as i64
    }
    /// of the model on this host, decayed over hours; survives eviction, requests per 1e6 s
    #[inline(always)]
    pub fn rate(self) -> u64 {
        self.0.u64(56)
    }
    /// decayed over minutes, requests per 1e6 s
    #[inline(always)]
    pub fn rate_recent(self) -> u64 {
        self.0.u64(64)
    }
    /// requests since its load
    #[inline(always)]
    pub fn uses(self) -> u64 {
        self.0.u64(72)
    }
    /// sum of the keep-values of what was evicted since its last use, each the largest of one eviction, tiers of priority aside: the clock of Greedy-Dual policies, keep-value
    #[inline(always)]
    pub fn inflation(self) -> i64 {
        self.0.u64(80) as i64
    }
    /// its load took, ms
    #[inline(always)]
    pub fn load_ms(self) -> u32 {
        self.0.u32(88)
    }
    /// requests now
    #[inline(always)]
    pub fn in_flight(self) -> u32 {
        self.0.u32(92)
    }
    /// of its owner; higher is kept longer
    #[inline(always)]
    pub fn priority(self) -> i32 {
        self.0.u32(96) as i32
    }
    #[inline(always)]
    pub fn flags(self) -> CopyFlag {
        CopyFlag(self.0.u16(100))
    }
    /// of the model on other hosts
    #[inline(always)]
    pub fn copies_elsewhere(self) -> u16 {
        self.0.u16(102)
    }
    /// model id, in UTF-8
    pub fn name(self) -> &'a [u8] {
        self.0.text(104)
    }
}

/// What one copy is worth. Each row has exactly one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvictAnswer {
    /// index of the copy's row
    pub row: u32,
    /// higher is kept longer; the lowest goes first
    pub keep: i32,
    pub reason: Reason,
}

/// Writes the answer in place. Nothing written means that the policy abstains.
pub struct EvictAnswers<'a> {
    response: &'a mut [u8],
    written: usize,
}

impl<'a> EvictAnswers<'a> {
    /// Answers about a row. There is room for as many answers as rows; those beyond are dropped.
    #[inline(always)]
    pub fn add(&mut self, row: usize, keep: i32, reason: Reason) {
        self.push(EvictAnswer { row: row as u32, keep, reason });
    }

    #[inline(always)]
    fn push(&mut self, answer: EvictAnswer) {
        if let Some(to) = self.response.get_mut(self.written..self.written + 16) {
            to[0..4].copy_from_slice(&answer.row.to_le_bytes());
            to[4..8].copy_from_slice(&answer.keep.to_le_bytes());
            to[8..10].copy_from_slice(&answer.reason.0.to_le_bytes());
            to[10..12].fill(0);
            to[12..16].fill(0);
            self.written += 16;
        }
    }

    /// Bytes written: what the hook returns.
    pub fn written(&self) -> i32 {
        self.written as i32
    }
}

/// What hook status is asked.
#[derive(Clone, Copy)]
pub struct StatusRequest<'a>(Request<'a>);

impl<'a> StatusRequest<'a> {
    /// Checks the request. The hook returns the negative of the error.
    pub fn open(bytes: &'a mut [u8]) -> Result<(StatusRequest<'a>, StatusAnswers<'a>), CallError> {
        let (request, response) = open(bytes, Hook::STATUS, 16, true)?;
        Ok((StatusRequest(request), StatusAnswers { response, written: 0 }))
    }

    /// The header.
    pub fn header(self) -> Header<'a> {
        Header(self.0.header)
    }

    /// The context.
    #[inline(always)]
    pub fn context(self) -> StatusContext<'a> {
        StatusContext(self.0.context)
    }

    /// Number of rows.
    #[inline(always)]
    pub fn len(self) -> usize {
        self.0.count
    }

    /// Whether there is no row.
    pub fn is_empty(self) -> bool {
        self.0.count == 0
    }

    /// The row; all its fields are 0 when `i` is not below `len`.
    #[inline(always)]
    pub fn row(self, i: usize) -> StatusRow<'a> {
        let start = i.wrapping_mul(self.0.size);
        let bytes = if i < self.0.count { self.0.rows.get(start..start + self.0.size) } else { None };
        StatusRow(Record { bytes: bytes.unwrap_or(&[]), strings: self.0.context.strings })
    }

    /// All rows in order.
    #[inline(always)]
    pub fn rows(self) -> impl Iterator<Item = StatusRow<'a>> {
        (0..self.0.count).map(move |i| self.row(i))
    }
}

/// One InferenceService or Predictor.
#[derive(Clone, Copy)]
pub struct StatusContext<'a>(Record<'a>);

impl<'a> StatusContext<'a> {
    #[inline(always)]
    pub fn flags(self) -> StatusFlag {
        StatusFlag(self.0.u32(0))
    }
    /// as the controller sees it: which model answers is not a policy's decision
    #[inline(always)]
    pub fn transition(self) -> Transition {
        Transition(self.0.u16(4))
    }
    /// why no model can be made of the spec
    #[inline(always)]
    pub fn spec_fault(self) -> Failure {
        Failure(self.0.u16(6))
    }
    /// in its namespace
    #[inline(always)]
    pub fn hosts_connected(self) -> u32 {
        self.0.u32(8)
    }
    /// in the present status
    #[inline(always)]
    pub fn previous_transition(self) -> Transition {
        Transition(self.0.u16(12))
    }
    /// in the present status
    #[inline(always)]
    pub fn previous_failure(self) -> Failure {
        Failure(self.0.u16(14))
    }
    /// namespace/kind/name, in UTF-8
    pub fn name(self) -> &'a [u8] {
        self.0.text(16)
    }
}

/// One model of the object, the one that answers first, then the target of a change if there is one.
#[derive(Clone, Copy)]
pub struct StatusRow<'a>(Record<'a>);

impl<'a> StatusRow<'a> {
    #[inline(always)]
    pub fn model_key(self) -> u64 {
        self.0.u64(0)
    }
    /// time of its newest failure, ms since 1970
    #[inline(always)]
    pub fn failed_at_ms(self) -> i64 {
        self.0.u64(8) as i64
    }
    /// it is tried again; 0 when only a change can help, ms since 1970
    #[inline(always)]
    pub fn retry_at_ms(self) -> i64 {
        self.0.u64(16) as i64
    }
    /// copies in memory
    #[inline(always)]
    pub fn loaded(self) -> u32 {
        self.0.u32(24)
    }
    /// copies queued or loading
    #[inline(always)]
    pub fn loading(self) -> u32 {
        self.0.u32(28)
    }
    /// copies that leave
    #[inline(always)]
    pub fn draining(self) -> u32 {
        self.0.u32(32)
    }
    /// copies that failed
    #[inline(always)]
    pub fn failed(self) -> u32 {
        self.0.u32(36)
    }
    /// with a runtime that supports it and is up
    #[inline(always)]
    pub fn hosts_ready(self) -> u32 {
        self.0.u32(40)
    }
    /// with a runtime that supports it and is not up
    #[inline(always)]
    pub fn hosts_waiting(self) -> u32 {
        self.0.u32(44)
    }
    #[inline(always)]
    pub fn flags(self) -> RevisionFlag {
        RevisionFlag(self.0.u16(48))
    }
    /// of its copies, as their hosts told it
    #[inline(always)]
    pub fn newest_failure(self) -> Failure {
        Failure(self.0.u16(50))
    }
    /// why no declared runtime can hold it
    #[inline(always)]
    pub fn unsupported(self) -> Failure {
        Failure(self.0.u16(52))
    }
    /// in the present status
    #[inline(always)]
    pub fn previous_state(self) -> ModelState {
        ModelState(self.0.u16(54))
    }
    /// model id, in UTF-8
    pub fn name(self) -> &'a [u8] {
        self.0.text(56)
    }
}

/// How the status reads. There is exactly one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusAnswer {
    pub transition: Transition,
    /// of the model that answers
    pub active_state: ModelState,
    /// 0 when there is no target
    pub target_state: ModelState,
    /// what is wrong with it; 0 for nothing
    pub active_failure: Failure,
    pub target_failure: Failure,
    /// 1: the conditions Ready and PredictorReady are True
    pub ready: u16,
}

/// Writes the answer in place. Nothing written means that the policy abstains.
pub struct StatusAnswers<'a> {
    response: &'a mut [u8],
    written: usize,
}

impl<'a> StatusAnswers<'a> {
    /// Writes the one answer.
    pub fn set(&mut self, answer: StatusAnswer) {
        self.written = 0;
        self.push(answer);
    }

    #[inline(always)]
    fn push(&mut self, answer: StatusAnswer) {
        if let Some(to) = self.response.get_mut(self.written..self.written + 16) {
            to[0..2].copy_from_slice(&answer.transition.0.to_le_bytes());
            to[2..4].copy_from_slice(&answer.active_state.0.to_le_bytes());
            to[4..6].copy_from_slice(&answer.target_state.0.to_le_bytes());
            to[6..8].copy_from_slice(&answer.active_failure.0.to_le_bytes());
            to[8..10].copy_from_slice(&answer.target_failure.0.to_le_bytes());
            to[10..12].copy_from_slice(&answer.ready.to_le_bytes());
            to[12..16].fill(0);
            self.written += 16;
        }
    }

    /// Bytes written: what the hook returns.
    pub fn written(&self) -> i32 {
        self.written as i32
    }
}
