/* Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.
 *
 * Reads requests and writes answers in place. Each request is checked once, when it is opened; after that no accessor reads
 * outside of it, and a field that the host did not know when it was built reads as 0. Needs a little-endian machine.
 */
#ifndef WASMESH_ABI_H
#define WASMESH_ABI_H

#include <stdint.h>

/* What mesh_abi returns: major << 16 | minor. */
#define MESH_ABI_VERSION 65536
#define MESH_ABI_MAJOR 1
#define MESH_ABI_MAGIC UINT32_C(0x3152504d)

/* Hook: What a policy decides. 0 is nothing or unknown. */
enum {
  MESH_HOOK_PLACE = 1, /* ranks hosts for a load */
  MESH_HOOK_EVICT = 2, /* says how much each copy is worth keeping */
  MESH_HOOK_STATUS = 3, /* says how the status of an object reads */
  MESH_HOOK_ROUTE = 4, /* reserved */
  MESH_HOOK_SCALE = 5, /* reserved */
};

/* Purpose: Why a copy is to be loaded, or memory to be found. 0 is nothing or unknown. */
enum {
  MESH_PURPOSE_MISS = 1, /* a request waits */
  MESH_PURPOSE_SCALE = 2, /* the copies there are are too busy */
  MESH_PURPOSE_DRAIN = 3, /* a host that leaves hands it over */
  MESH_PURPOSE_MIN_COPIES = 4, /* the owner asked for more copies than there are */
  MESH_PURPOSE_REBALANCE = 5, /* evicted elsewhere though still useful */
  MESH_PURPOSE_BACKGROUND = 6, /* new, changed or on standby, and no request waits */
  MESH_PURPOSE_WORTH = 7, /* nothing is loaded: the keep-values are wanted for a host's reclaim curve */
};

/* Reason: Why a policy answered what it answered, for people. Policies may use values from 1000 on for reasons of their own. 0 is nothing or unknown. */
enum {
  MESH_REASON_FREE = 1, /* enough memory is free */
  MESH_REASON_LEAST_LOST = 2, /* what has to go there is worth least */
  MESH_REASON_ZONE = 3, /* its zone has fewer copies */
  MESH_REASON_PACKED = 4, /* it is the fullest that still has room */
  MESH_REASON_WARMING = 5, /* it has just started */
  MESH_REASON_BUSY = 6, /* it has many loads or requests */
  MESH_REASON_HAS_COPY = 7, /* it has a copy already */
  MESH_REASON_EXCLUDED = 8, /* it is leaving, or the asker excluded it */
  MESH_REASON_TOO_SMALL = 9, /* it could never hold the model */
  MESH_REASON_RECENCY = 10, /* by when it was last used */
  MESH_REASON_RATE = 11, /* by how often it is used, what a reload costs, and its size */
  MESH_REASON_FRESH = 12, /* it was loaded a moment ago */
  MESH_REASON_PRIORITY = 13, /* its owner gave it another priority */
  MESH_REASON_FREQUENCY = 14, /* by how often it was used since its load */
  MESH_REASON_OLDEST_CACHE = 15, /* what has to go there was unused for longest */
};

/* ModelState: State of a model in a status, in the order of ModelMesh's words. 0 is nothing or unknown. */
enum {
  MESH_MODEL_STATE_PENDING = 1, /* nobody has taken note of it */
  MESH_MODEL_STATE_STANDBY = 2, /* no copy is in memory; the next request loads it */
  MESH_MODEL_STATE_LOADING = 3, /* a copy is on its way */
  MESH_MODEL_STATE_LOADED = 4, /* a copy is in memory */
  MESH_MODEL_STATE_FAILED_TO_LOAD = 5, /* no copy could be loaded */
};

/* Transition: How far an object is from its spec. 0 is nothing or unknown. */
enum {
  MESH_TRANSITION_UP_TO_DATE = 1, /* the model of the spec answers */
  MESH_TRANSITION_IN_PROGRESS = 2, /* the model of the changed spec is on its way */
  MESH_TRANSITION_BLOCKED_BY_FAILED_LOAD = 3, /* the model of the changed spec failed to load */
  MESH_TRANSITION_INVALID_SPEC = 4, /* no model can be made of the spec */
};

/* Failure: What is wrong with a model. 0 is nothing or unknown. */
enum {
  MESH_FAILURE_MODEL_LOAD_FAILED = 1, /* storage, credentials or the model itself */
  MESH_FAILURE_RUNTIME_UNHEALTHY = 2, /* no runtime that supports it is up */
  MESH_FAILURE_RUNTIME_NOT_RECOGNIZED = 3, /* the runtime it names does not exist */
  MESH_FAILURE_NO_SUPPORTING_RUNTIME = 4, /* no declared runtime supports its format */
  MESH_FAILURE_INVALID_PREDICTOR_SPEC = 5, /* its spec is wrong */
  MESH_FAILURE_RUNTIME_DISABLED = 6, /* the runtime it names is disabled */
};

/* LogLevel: Of mesh_v1.log. 0 is nothing or unknown. */
enum {
  MESH_LOG_LEVEL_DEBUG = 1,
  MESH_LOG_LEVEL_INFO = 2,
  MESH_LOG_LEVEL_WARN = 3,
  MESH_LOG_LEVEL_ERROR = 4,
};

/* CallError: Why a module could not decide; a hook returns its negative. Modules may use values from 1000 on for reasons of their own. 0 is nothing or unknown. */
enum {
  MESH_CALL_ERROR_MALFORMED = 1, /* the request is not one */
  MESH_CALL_ERROR_VERSION = 2, /* the request is of another major version */
  MESH_CALL_ERROR_HOOK = 3, /* the request is for another hook */
  MESH_CALL_ERROR_CONFIG = 4, /* the configuration is not understood */
};

/* RequestFlag: Header.flags. */
enum {
  MESH_REQUEST_FLAG_SHADOW = 1 << 0, /* the answer is compared and not used */
  MESH_REQUEST_FLAG_REPLAY = 1 << 1, /* a recorded decision is asked again */
  MESH_REQUEST_FLAG_PREFLIGHT = 1 << 2, /* the generation is being tried before it is used */
};

/* ModelFlag: PlaceContext.flags and EvictContext.flags. */
enum {
  MESH_MODEL_FLAG_PINNED = 1 << 0, /* never evicted */
  MESH_MODEL_FLAG_DECLARED = 1 << 1, /* the size is the owner's word, not an estimate */
};

/* HostFlag: PlaceRow.flags. */
enum {
  MESH_HOST_FLAG_DRAINING = 1 << 0, /* leaves the mesh */
  MESH_HOST_FLAG_WARMING = 1 << 1, /* has joined a moment ago */
  MESH_HOST_FLAG_SAME_ZONE = 1 << 2, /* in the zone of the host that asks */
  MESH_HOST_FLAG_HAS_COPY = 1 << 3, /* holds, queues or loads the model */
  MESH_HOST_FLAG_EXCLUDED = 1 << 4, /* failed to load the model a moment ago, or is to be relieved of it */
  MESH_HOST_FLAG_SELF = 1 << 5, /* the host that asks */
  MESH_HOST_FLAG_PREFERRED = 1 << 6, /* its runtime is the model's first choice */
};

/* CopyFlag: EvictRow.flags. A copy with Pinned, Loading or InFlight is never evicted, whatever it is said to be worth. */
enum {
  MESH_COPY_FLAG_PINNED = 1 << 0, /* its owner forbids to evict it */
  MESH_COPY_FLAG_LOADING = 1 << 1, /* it is not loaded yet */
  MESH_COPY_FLAG_IN_FLIGHT = 1 << 2, /* it answers requests now */
};

/* StatusFlag: StatusContext.flags. */
enum {
  MESH_STATUS_FLAG_HOMELESS = 1 << 0, /* there is no model, and there never was one */
  MESH_STATUS_FLAG_REACHED = 1 << 1, /* every host has reported: what is not told of does not exist */
};

/* RevisionFlag: StatusRow.flags. */
enum {
  MESH_REVISION_FLAG_TARGET = 1 << 0, /* the model of the changed spec; else the one that answers */
  MESH_REVISION_FLAG_REFUSED = 1 << 1, /* failed on a host before, and has not been loaded since */
  MESH_REVISION_FLAG_CONSIDERED = 1 << 2, /* every ready host of a runtime that supports it knows it */
};

/* UTF-8, not terminated. */
typedef struct {
  const char *at;
  uint32_t len;
} mesh_string;

/* One struct of a request: size is what the host knew of it, and limit is what there is from strings on. */
typedef struct {
  const uint8_t *at;
  uint32_t size;
  const uint8_t *strings;
  uint32_t limit;
} mesh_record;

/* A request that was checked. */
typedef struct {
  mesh_record header, context;
  const uint8_t *rows;
  uint32_t row_size, row_count;
  uint8_t *response;
  uint32_t response_cap;
} mesh_request;

/* Where answers go. */
typedef struct {
  uint8_t *at;
  uint32_t cap, len;
} mesh_answers;

static inline uint16_t mesh__u16(mesh_record r, uint32_t offset) {
  uint16_t value = 0;
  if (r.size >= offset + 2) __builtin_memcpy(&value, r.at + offset, 2);
  return value;
}

static inline uint32_t mesh__u32(mesh_record r, uint32_t offset) {
  uint32_t value = 0;
  if (r.size >= offset + 4) __builtin_memcpy(&value, r.at + offset, 4);
  return value;
}

static inline uint64_t mesh__u64(mesh_record r, uint32_t offset) {
  uint64_t value = 0;
  if (r.size >= offset + 8) __builtin_memcpy(&value, r.at + offset, 8);
  return value;
}

static inline mesh_string mesh__string(mesh_record r, uint32_t offset) {
  uint32_t start = mesh__u32(r, offset), len = mesh__u32(r, offset + 4);
  mesh_string none = {(const char *)r.at, 0};
  if ((uint64_t)start + len > r.limit) return none;
  mesh_string s = {(const char *)r.strings + start, len};
  return s;
}

/* Checks the request of len bytes. It returns 0, or the negative CallError that the hook is to return. */
static inline int32_t mesh__open(mesh_request *r, uint8_t *at, uint32_t len, uint16_t hook, uint32_t answer, int one) {
  mesh_record h = {at, len, at, 0};
  if (len < 80 || mesh__u32(h, 0) != MESH_ABI_MAGIC || mesh__u32(h, 12) != len) return -MESH_CALL_ERROR_MALFORMED;
  if (mesh__u16(h, 4) != MESH_ABI_MAJOR) return -MESH_CALL_ERROR_VERSION;
  if (mesh__u16(h, 16) != hook) return -MESH_CALL_ERROR_HOOK;
  uint32_t header_size = mesh__u32(h, 8), context = mesh__u32(h, 48), context_size = mesh__u32(h, 52);
  uint32_t rows = mesh__u32(h, 56), row_size = mesh__u32(h, 60), row_count = mesh__u32(h, 20);
  uint32_t strings = mesh__u32(h, 64), strings_len = mesh__u32(h, 68);
  uint32_t response = mesh__u32(h, 72), response_cap = mesh__u32(h, 76);
  uint32_t answers = one ? 1 : row_count;
  if (row_count > len || row_size % 8 != 0 || (row_size == 0 && row_count > 0)) return -MESH_CALL_ERROR_MALFORMED;
  if (header_size < 80 || header_size > context || (uint64_t)context + context_size > rows || rows + (uint64_t)row_size * row_count > strings ||
      (uint64_t)strings + strings_len > response || (uint64_t)response + response_cap > len || (uint64_t)answers * answer > response_cap)
    return -MESH_CALL_ERROR_MALFORMED;
  mesh_record header_record = {at, header_size, at + strings, strings_len}, context_record = {at + context, context_size, at + strings, strings_len};
  r->header = header_record;
  r->context = context_record;
  r->rows = at + rows;
  r->row_size = row_size;
  r->row_count = row_count;
  r->response = at + response;
  r->response_cap = response_cap;
  return 0;
}

static inline mesh_record mesh__row(const mesh_request *r, uint32_t i) {
  mesh_record row = r->context;
  row.at = r->rows + i * r->row_size;
  row.size = i < r->row_count ? r->row_size : 0;
  return row;
}

/* Number of rows. */
static inline uint32_t mesh_rows(const mesh_request *r) { return r->row_count; }

/* The writer of answers about the request. */
static inline mesh_answers mesh_answers_of(const mesh_request *r) {
  mesh_answers a = {r->response, r->response_cap, 0};
  return a;
}

/* Header: Starts every request. The encoder computes what describes the request itself. */
static inline uint32_t mesh_header_magic(const mesh_request *r) { return (uint32_t)mesh__u32(r->header, 0); } /* MPR1 */
static inline uint16_t mesh_header_abi_major(const mesh_request *r) { return (uint16_t)mesh__u16(r->header, 4); } /* of the host */
static inline uint16_t mesh_header_abi_minor(const mesh_request *r) { return (uint16_t)mesh__u16(r->header, 6); } /* of the host */
static inline uint32_t mesh_header_header_size(const mesh_request *r) { return (uint32_t)mesh__u32(r->header, 8); } /* of this struct as the host knows it, bytes */
static inline uint32_t mesh_header_total_len(const mesh_request *r) { return (uint32_t)mesh__u32(r->header, 12); } /* of the request, response area included, bytes */
static inline uint16_t mesh_header_hook(const mesh_request *r) { return (uint16_t)mesh__u16(r->header, 16); } /* what is asked */
static inline uint16_t mesh_header_flags(const mesh_request *r) { return (uint16_t)mesh__u16(r->header, 18); }
static inline uint32_t mesh_header_row_count(const mesh_request *r) { return (uint32_t)mesh__u32(r->header, 20); } /* rows */
static inline uint64_t mesh_header_decision_id(const mesh_request *r) { return (uint64_t)mesh__u64(r->header, 24); } /* of this decision, unique on its host */
static inline int64_t mesh_header_now_ms(const mesh_request *r) { return (int64_t)mesh__u64(r->header, 32); } /* the only clock there is, ms since 1970 */
static inline uint64_t mesh_header_seed(const mesh_request *r) { return (uint64_t)mesh__u64(r->header, 40); } /* the only randomness there is */
static inline uint32_t mesh_header_context_off(const mesh_request *r) { return (uint32_t)mesh__u32(r->header, 48); } /* of the context, from the start of the request, bytes */
static inline uint32_t mesh_header_context_size(const mesh_request *r) { return (uint32_t)mesh__u32(r->header, 52); } /* of the context as the host knows it, bytes */
static inline uint32_t mesh_header_rows_off(const mesh_request *r) { return (uint32_t)mesh__u32(r->header, 56); } /* of the first row, bytes */
static inline uint32_t mesh_header_row_size(const mesh_request *r) { return (uint32_t)mesh__u32(r->header, 60); } /* of one row: the stride, bytes */
static inline uint32_t mesh_header_strings_off(const mesh_request *r) { return (uint32_t)mesh__u32(r->header, 64); } /* of the UTF-8 that name_off counts in, bytes */
static inline uint32_t mesh_header_strings_len(const mesh_request *r) { return (uint32_t)mesh__u32(r->header, 68); } /* bytes */
static inline uint32_t mesh_header_response_off(const mesh_request *r) { return (uint32_t)mesh__u32(r->header, 72); } /* where the answer goes, bytes */
static inline uint32_t mesh_header_response_cap(const mesh_request *r) { return (uint32_t)mesh__u32(r->header, 76); } /* room for it, bytes */

/* Hook place. PlaceAnswer: One host that the policy would load on. Best first; a host that is not named is not wanted. */
static inline int32_t mesh_place_open(mesh_request *r, uint8_t *at, uint32_t len) { return mesh__open(r, at, len, MESH_HOOK_PLACE, 16, 0); }

/* PlaceContext: The model that is to be loaded. */
static inline uint64_t mesh_place_model_key(const mesh_request *r) { return (uint64_t)mesh__u64(r->context, 0); } /* of the model */
static inline int64_t mesh_place_need_memory(const mesh_request *r) { return (int64_t)mesh__u64(r->context, 8); } /* expected in the runtime's memory, bytes */
static inline int64_t mesh_place_need_device(const mesh_request *r) { return (int64_t)mesh__u64(r->context, 16); } /* on its device, bytes */
static inline int64_t mesh_place_need_slots(const mesh_request *r) { return (int64_t)mesh__u64(r->context, 24); } /* slots */
static inline int64_t mesh_place_last_used_ms(const mesh_request *r) { return (int64_t)mesh__u64(r->context, 32); } /* a request last came, before the one that waits, ms since 1970 */
static inline uint64_t mesh_place_rate(const mesh_request *r) { return (uint64_t)mesh__u64(r->context, 40); } /* decayed over hours, requests per 1e6 s */
static inline uint64_t mesh_place_rate_recent(const mesh_request *r) { return (uint64_t)mesh__u64(r->context, 48); } /* decayed over minutes, requests per 1e6 s */
static inline uint32_t mesh_place_load_ms(const mesh_request *r) { return (uint32_t)mesh__u32(r->context, 56); } /* a load takes, as measured, ms */
static inline int32_t mesh_place_priority(const mesh_request *r) { return (int32_t)mesh__u32(r->context, 60); } /* of its owner; higher is kept longer */
static inline uint16_t mesh_place_purpose(const mesh_request *r) { return (uint16_t)mesh__u16(r->context, 64); }
static inline uint16_t mesh_place_flags(const mesh_request *r) { return (uint16_t)mesh__u16(r->context, 66); }
static inline uint16_t mesh_place_zone(const mesh_request *r) { return (uint16_t)mesh__u16(r->context, 68); } /* of the host that asks; zones are numbered from 1 in each request */
static inline uint16_t mesh_place_copies(const mesh_request *r) { return (uint16_t)mesh__u16(r->context, 70); } /* there are, loading ones included */
static inline mesh_string mesh_place_name(const mesh_request *r) { return mesh__string(r->context, 72); } /* model id */

/* PlaceRow: One host. All of its fields are 0 when i is not below mesh_rows. */
typedef struct {
  mesh_record r;
} mesh_place_row;
static inline mesh_place_row mesh_place_row_at(const mesh_request *r, uint32_t i) {
  mesh_place_row row = {mesh__row(r, i)};
  return row;
}
static inline uint64_t mesh_place_row_host_key(mesh_place_row row) { return (uint64_t)mesh__u64(row.r, 0); } /* of the host's id, the same in every request */
static inline uint32_t mesh_place_row_flags(mesh_place_row row) { return (uint32_t)mesh__u32(row.r, 8); }
static inline uint16_t mesh_place_row_zone(mesh_place_row row) { return (uint16_t)mesh__u16(row.r, 12); } /* 0 when it has none */
static inline uint16_t mesh_place_row_zone_copies(mesh_place_row row) { return (uint16_t)mesh__u16(row.r, 14); } /* copies of the model in its zone */
static inline int64_t mesh_place_row_free_memory(mesh_place_row row) { return (int64_t)mesh__u64(row.r, 16); } /* of the runtime's memory, bytes */
static inline int64_t mesh_place_row_free_device(mesh_place_row row) { return (int64_t)mesh__u64(row.r, 24); } /* bytes */
static inline int64_t mesh_place_row_free_slots(mesh_place_row row) { return (int64_t)mesh__u64(row.r, 32); }
static inline int64_t mesh_place_row_capacity_memory(mesh_place_row row) { return (int64_t)mesh__u64(row.r, 40); } /* bytes */
static inline int64_t mesh_place_row_capacity_device(mesh_place_row row) { return (int64_t)mesh__u64(row.r, 48); } /* bytes */
static inline int64_t mesh_place_row_capacity_slots(mesh_place_row row) { return (int64_t)mesh__u64(row.r, 56); }
static inline int64_t mesh_place_row_reclaim_16th(mesh_place_row row) { return (int64_t)mesh__u64(row.r, 64); } /* lost to free 1/16 of the capacity: the lowest keep-values of its evict policy, each at least 0, weighed by the memory that goes with them and added up, keep-value x MiB */
static inline int64_t mesh_place_row_reclaim_8th(mesh_place_row row) { return (int64_t)mesh__u64(row.r, 72); } /* lost to free 1/8, keep-value x MiB */
static inline int64_t mesh_place_row_reclaim_4th(mesh_place_row row) { return (int64_t)mesh__u64(row.r, 80); } /* lost to free 1/4, keep-value x MiB */
static inline int64_t mesh_place_row_reclaim_half(mesh_place_row row) { return (int64_t)mesh__u64(row.r, 88); } /* lost to free 1/2, keep-value x MiB */
static inline int64_t mesh_place_row_oldest_ms(mesh_place_row row) { return (int64_t)mesh__u64(row.r, 96); } /* last use of its least recently used copy, ms since 1970 */
static inline int64_t mesh_place_row_started_ms(mesh_place_row row) { return (int64_t)mesh__u64(row.r, 104); } /* start of the host, ms since 1970 */
static inline uint32_t mesh_place_row_loads_queued(mesh_place_row row) { return (uint32_t)mesh__u32(row.r, 112); }
static inline uint32_t mesh_place_row_loads_running(mesh_place_row row) { return (uint32_t)mesh__u32(row.r, 116); }
static inline uint32_t mesh_place_row_in_flight(mesh_place_row row) { return (uint32_t)mesh__u32(row.r, 120); } /* requests */
static inline uint32_t mesh_place_row_copies(mesh_place_row row) { return (uint32_t)mesh__u32(row.r, 124); } /* of all models */
static inline uint64_t mesh_place_row_rate(mesh_place_row row) { return (uint64_t)mesh__u64(row.r, 128); } /* all requests that it serves, requests per 1e6 s */
static inline mesh_string mesh_place_row_name(mesh_place_row row) { return mesh__string(row.r, 136); } /* host id */

/* Writes one answer. There is room for as many as rows; those beyond are dropped. Return a->len from the hook. */
static inline void mesh_place_add(mesh_answers *a, uint32_t row, int32_t score, uint16_t reason) {
  if (a->cap - a->len < 16) return;
  uint8_t *at = a->at + a->len;
  __builtin_memset(at, 0, 16);
  __builtin_memcpy(at + 0, &row, 4);
  __builtin_memcpy(at + 4, &score, 4);
  __builtin_memcpy(at + 8, &reason, 2);
  a->len += 16;
}

/* Hook evict. EvictAnswer: What one copy is worth. Each row has exactly one answer. */
static inline int32_t mesh_evict_open(mesh_request *r, uint8_t *at, uint32_t len) { return mesh__open(r, at, len, MESH_HOOK_EVICT, 16, 0); }

/* EvictContext: What memory is wanted for. */
static inline uint64_t mesh_evict_model_key(const mesh_request *r) { return (uint64_t)mesh__u64(r->context, 0); } /* of the model that is to come; 0 for none */
static inline int64_t mesh_evict_need_memory(const mesh_request *r) { return (int64_t)mesh__u64(r->context, 8); } /* it is expected to take, bytes */
static inline int64_t mesh_evict_need_device(const mesh_request *r) { return (int64_t)mesh__u64(r->context, 16); } /* bytes */
static inline int64_t mesh_evict_need_slots(const mesh_request *r) { return (int64_t)mesh__u64(r->context, 24); }
static inline int64_t mesh_evict_free_memory(const mesh_request *r) { return (int64_t)mesh__u64(r->context, 32); } /* bytes */
static inline int64_t mesh_evict_free_device(const mesh_request *r) { return (int64_t)mesh__u64(r->context, 40); } /* bytes */
static inline int64_t mesh_evict_free_slots(const mesh_request *r) { return (int64_t)mesh__u64(r->context, 48); }
static inline int64_t mesh_evict_capacity_memory(const mesh_request *r) { return (int64_t)mesh__u64(r->context, 56); } /* bytes */
static inline int64_t mesh_evict_capacity_device(const mesh_request *r) { return (int64_t)mesh__u64(r->context, 64); } /* bytes */
static inline int64_t mesh_evict_capacity_slots(const mesh_request *r) { return (int64_t)mesh__u64(r->context, 72); }
static inline uint16_t mesh_evict_purpose(const mesh_request *r) { return (uint16_t)mesh__u16(r->context, 80); }
static inline uint16_t mesh_evict_flags(const mesh_request *r) { return (uint16_t)mesh__u16(r->context, 82); }
static inline int32_t mesh_evict_priority(const mesh_request *r) { return (int32_t)mesh__u32(r->context, 84); } /* of the model that is to come */
static inline mesh_string mesh_evict_name(const mesh_request *r) { return mesh__string(r->context, 88); } /* id of the model that is to come */

/* EvictRow: One copy on this host. All of its fields are 0 when i is not below mesh_rows. */
typedef struct {
  mesh_record r;
} mesh_evict_row;
static inline mesh_evict_row mesh_evict_row_at(const mesh_request *r, uint32_t i) {
  mesh_evict_row row = {mesh__row(r, i)};
  return row;
}
static inline uint64_t mesh_evict_row_copy_id(mesh_evict_row row) { return (uint64_t)mesh__u64(row.r, 0); } /* of this load of the model */
static inline uint64_t mesh_evict_row_model_key(mesh_evict_row row) { return (uint64_t)mesh__u64(row.r, 8); }
static inline int64_t mesh_evict_row_size_memory(mesh_evict_row row) { return (int64_t)mesh__u64(row.r, 16); } /* it takes, bytes */
static inline int64_t mesh_evict_row_size_device(mesh_evict_row row) { return (int64_t)mesh__u64(row.r, 24); } /* bytes */
static inline int64_t mesh_evict_row_size_slots(mesh_evict_row row) { return (int64_t)mesh__u64(row.r, 32); }
static inline int64_t mesh_evict_row_last_used_ms(mesh_evict_row row) { return (int64_t)mesh__u64(row.r, 40); } /* a request last came, ms since 1970 */
static inline int64_t mesh_evict_row_loaded_at_ms(mesh_evict_row row) { return (int64_t)mesh__u64(row.r, 48); } /* its load ended, ms since 1970 */
static inline uint64_t mesh_evict_row_rate(mesh_evict_row row) { return (uint64_t)mesh__u64(row.r, 56); } /* of the model on this host, decayed over hours; survives eviction, requests per 1e6 s */
static inline uint64_t mesh_evict_row_rate_recent(mesh_evict_row row) { return (uint64_t)mesh__u64(row.r, 64); } /* decayed over minutes, requests per 1e6 s */
static inline uint64_t mesh_evict_row_uses(mesh_evict_row row) { return (uint64_t)mesh__u64(row.r, 72); } /* requests since its load */
static inline int64_t mesh_evict_row_inflation(mesh_evict_row row) { return (int64_t)mesh__u64(row.r, 80); } /* sum of the keep-values of what was evicted since its last use, each the largest of one eviction, tiers of priority aside: the clock of Greedy-Dual policies, keep-value */
static inline uint32_t mesh_evict_row_load_ms(mesh_evict_row row) { return (uint32_t)mesh__u32(row.r, 88); } /* its load took, ms */
static inline uint32_t mesh_evict_row_in_flight(mesh_evict_row row) { return (uint32_t)mesh__u32(row.r, 92); } /* requests now */
static inline int32_t mesh_evict_row_priority(mesh_evict_row row) { return (int32_t)mesh__u32(row.r, 96); } /* of its owner; higher is kept longer */
static inline uint16_t mesh_evict_row_flags(mesh_evict_row row) { return (uint16_t)mesh__u16(row.r, 100); }
static inline uint16_t mesh_evict_row_copies_elsewhere(mesh_evict_row row) { return (uint16_t)mesh__u16(row.r, 102); } /* of the model on other hosts */
static inline mesh_string mesh_evict_row_name(mesh_evict_row row) { return mesh__string(row.r, 104); } /* model id */

/* Writes one answer. There is room for as many as rows; those beyond are dropped. Return a->len from the hook. */
static inline void mesh_evict_add(mesh_answers *a, uint32_t row, int32_t keep, uint16_t reason) {
  if (a->cap - a->len < 16) return;
  uint8_t *at = a->at + a->len;
  __builtin_memset(at, 0, 16);
  __builtin_memcpy(at + 0, &row, 4);
  __builtin_memcpy(at + 4, &keep, 4);
  __builtin_memcpy(at + 8, &reason, 2);
  a->len += 16;
}

/* Hook status. StatusAnswer: How the status reads. There is exactly one. */
static inline int32_t mesh_status_open(mesh_request *r, uint8_t *at, uint32_t len) { return mesh__open(r, at, len, MESH_HOOK_STATUS, 16, 1); }

/* StatusContext: One InferenceService or Predictor. */
static inline uint32_t mesh_status_flags(const mesh_request *r) { return (uint32_t)mesh__u32(r->context, 0); }
static inline uint16_t mesh_status_transition(const mesh_request *r) { return (uint16_t)mesh__u16(r->context, 4); } /* as the controller sees it: which model answers is not a policy's decision */
static inline uint16_t mesh_status_spec_fault(const mesh_request *r) { return (uint16_t)mesh__u16(r->context, 6); } /* why no model can be made of the spec */
static inline uint32_t mesh_status_hosts_connected(const mesh_request *r) { return (uint32_t)mesh__u32(r->context, 8); } /* in its namespace */
static inline uint16_t mesh_status_previous_transition(const mesh_request *r) { return (uint16_t)mesh__u16(r->context, 12); } /* in the present status */
static inline uint16_t mesh_status_previous_failure(const mesh_request *r) { return (uint16_t)mesh__u16(r->context, 14); } /* in the present status */
static inline mesh_string mesh_status_name(const mesh_request *r) { return mesh__string(r->context, 16); } /* namespace/kind/name */

/* StatusRow: One model of the object, the one that answers first, then the target of a change if there is one. All of its fields are 0 when i is not below mesh_rows. */
typedef struct {
  mesh_record r;
} mesh_status_row;
static inline mesh_status_row mesh_status_row_at(const mesh_request *r, uint32_t i) {
  mesh_status_row row = {mesh__row(r, i)};
  return row;
}
static inline uint64_t mesh_status_row_model_key(mesh_status_row row) { return (uint64_t)mesh__u64(row.r, 0); }
static inline int64_t mesh_status_row_failed_at_ms(mesh_status_row row) { return (int64_t)mesh__u64(row.r, 8); } /* time of its newest failure, ms since 1970 */
static inline int64_t mesh_status_row_retry_at_ms(mesh_status_row row) { return (int64_t)mesh__u64(row.r, 16); } /* it is tried again; 0 when only a change can help, ms since 1970 */
static inline uint32_t mesh_status_row_loaded(mesh_status_row row) { return (uint32_t)mesh__u32(row.r, 24); } /* copies in memory */
static inline uint32_t mesh_status_row_loading(mesh_status_row row) { return (uint32_t)mesh__u32(row.r, 28); } /* copies queued or loading */
static inline uint32_t mesh_status_row_draining(mesh_status_row row) { return (uint32_t)mesh__u32(row.r, 32); } /* copies that leave */
static inline uint32_t mesh_status_row_failed(mesh_status_row row) { return (uint32_t)mesh__u32(row.r, 36); } /* copies that failed */
static inline uint32_t mesh_status_row_hosts_ready(mesh_status_row row) { return (uint32_t)mesh__u32(row.r, 40); } /* with a runtime that supports it and is up */
static inline uint32_t mesh_status_row_hosts_waiting(mesh_status_row row) { return (uint32_t)mesh__u32(row.r, 44); } /* with a runtime that supports it and is not up */
static inline uint16_t mesh_status_row_flags(mesh_status_row row) { return (uint16_t)mesh__u16(row.r, 48); }
static inline uint16_t mesh_status_row_newest_failure(mesh_status_row row) { return (uint16_t)mesh__u16(row.r, 50); } /* of its copies, as their hosts told it */
static inline uint16_t mesh_status_row_unsupported(mesh_status_row row) { return (uint16_t)mesh__u16(row.r, 52); } /* why no declared runtime can hold it */
static inline uint16_t mesh_status_row_previous_state(mesh_status_row row) { return (uint16_t)mesh__u16(row.r, 54); } /* in the present status */
static inline mesh_string mesh_status_row_name(mesh_status_row row) { return mesh__string(row.r, 56); } /* model id */

/* Writes one answer. Return a->len from the hook. */
static inline void mesh_status_set(mesh_answers *a, uint16_t transition, uint16_t active_state, uint16_t target_state, uint16_t active_failure, uint16_t target_failure, uint16_t ready) {
  a->len = 0;
  if (a->cap - a->len < 16) return;
  uint8_t *at = a->at + a->len;
  __builtin_memset(at, 0, 16);
  __builtin_memcpy(at + 0, &transition, 2);
  __builtin_memcpy(at + 2, &active_state, 2);
  __builtin_memcpy(at + 4, &target_state, 2);
  __builtin_memcpy(at + 6, &active_failure, 2);
  __builtin_memcpy(at + 8, &target_failure, 2);
  __builtin_memcpy(at + 10, &ready, 2);
  a->len += 16;
}

#endif
