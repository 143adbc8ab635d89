/*
 * Ranks the hosts that can take a model, the 32 best; see README.md. The mesh's built-in placement is the same policy in
 * Go, integer for integer: a change of either changes both.
 */
#include "wasmesh_policy.h"

MESH_CONFIG("load_weight");

/* The whole of a capacity, as shares count. */
#define WHOLE 65536

/* Bounds the points of a reclaim curve, so that a point times a share fits into 64 bits. */
#define MAX_LOSS (INT64_C(1) << 46)

/* Where the last field ends that this reads of a row. Every host sends that much. */
#define ROW_SIZE 128

/* What one host has to offer. */
typedef struct {
  /* Compared in this order: not free, not preferred, effort, requests in flight, warming; lower is better. */
  uint64_t first;
  /* Then: room that is left, copies in the zone, in another zone; lower is better. */
  uint32_t second;
  uint32_t row;
  /* Then this. */
  uint64_t distance;
  int64_t loss;
} bid;

static inline int64_t at_least(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }

/* part/all in 65536ths, at least 1 for any part at all, at most the whole. all is positive. */
static inline int64_t share(int64_t part, int64_t all) {
  if (part <= 0) return 0;
  if (part >= all) return WHOLE;
  const int64_t shift = at_least(18 - __builtin_clzll((uint64_t)all), 0); /* to 46 bits */
  return at_least((part >> shift) * WHOLE / (all >> shift), 1);
}

/*
 * What a host loses when that share of its capacity is freed, off its reclaim curve: straight lines between the points, the
 * first from nothing, the last drawn on to the whole capacity. A curve that falls counts as level.
 */
static inline int64_t loss_of(mesh_place_row host, int64_t lacking) {
  if (lacking == 0) return 0;
  int64_t at_16th = at_most(at_least(mesh_place_row_reclaim_16th(host), 0), MAX_LOSS);
  if (lacking <= WHOLE / 16) return at_16th * lacking / (WHOLE / 16);
  int64_t at_8th = at_most(at_least(mesh_place_row_reclaim_8th(host), at_16th), MAX_LOSS);
  if (lacking <= WHOLE / 8) return at_16th + (at_8th - at_16th) * (lacking - WHOLE / 16) / (WHOLE / 16);
  int64_t at_4th = at_most(at_least(mesh_place_row_reclaim_4th(host), at_8th), MAX_LOSS);
  if (lacking <= WHOLE / 4) return at_8th + (at_4th - at_8th) * (lacking - WHOLE / 8) / (WHOLE / 8);
  int64_t at_half = at_most(at_least(mesh_place_row_reclaim_half(host), at_4th), MAX_LOSS);
  return at_4th + (at_half - at_4th) * (lacking - WHOLE / 4) / (WHOLE / 4);
}

/* The logarithm of x in octaves divided by eight, rounded down so that it grows with x: 0 to 15 are themselves. */
static inline int64_t eighths(int64_t x) {
  if (x < 16) return at_least(x, 0);
  int64_t octave = 60 - __builtin_clzll((uint64_t)x);
  return octave * 8 + (x >> octave);
}

/*
 * Adds one resource to what the host lacks and what is left after the load. 0: it could never hold the model. A capacity of
 * 0 means that nobody counts this; what is free is at most the capacity, and what is less than nothing counts as nothing.
 */
static inline int measure(int64_t want, int64_t free, int64_t capacity, int64_t *lacking, int64_t *room) {
  if (capacity <= 0 || want <= 0) return 1;
  if (want > capacity) return 0;
  free = at_most(at_least(free, 0), capacity);
  if (want > free) {
    *lacking = at_least(*lacking, share(want - free, capacity));
    *room = 0;
  } else {
    *room = at_most(*room, share(free - want, capacity));
  }
  return 1;
}

/* Whether a is to be named before b. Equal bids stay in the order of their rows. */
static inline int before(const bid *a, const bid *b) {
  if (a->first != b->first) return a->first < b->first;
  if (a->second != b->second) return a->second < b->second;
  return a->distance < b->distance;
}

static inline __attribute__((always_inline)) void rank(mesh_request request, uint64_t load_weight, mesh_answers *ranking) {
  const uint32_t out = MESH_HOST_FLAG_DRAINING | MESH_HOST_FLAG_EXCLUDED | MESH_HOST_FLAG_HAS_COPY;
  const int64_t memory = mesh_place_need_memory(&request), device = mesh_place_need_device(&request);
  const int64_t slots = mesh_place_need_slots(&request);
  const uint64_t key = mesh_place_model_key(&request);
  bid best[MESH_TOP_ROWS];
  uint32_t len = 0;
  for (uint32_t i = 0; i < mesh_rows(&request); i++) {
    mesh_place_row host = mesh_place_row_at(&request, i);
    const uint32_t flags = mesh_place_row_flags(host);
    if (flags & out) continue;
    int64_t lacking = 0, room = WHOLE;
    if (!measure(memory, mesh_place_row_free_memory(host), mesh_place_row_capacity_memory(host), &lacking, &room)) continue;
    if (!measure(device, mesh_place_row_free_device(host), mesh_place_row_capacity_device(host), &lacking, &room)) continue;
    if (!measure(slots, mesh_place_row_free_slots(host), mesh_place_row_capacity_slots(host), &lacking, &room)) continue;

    bid b = {.row = i, .loss = loss_of(host, lacking), .distance = mesh_place_row_host_key(host) ^ key};
    /* Each load that is ahead counts as a ninth more lost, eight as twice as much. */
    const uint64_t loads = (uint64_t)mesh_place_row_loads_queued(host) + mesh_place_row_loads_running(host);
    const uint64_t effort = (uint64_t)eighths(b.loss) + loads * load_weight;
    const uint64_t busy = (uint64_t)eighths(mesh_place_row_in_flight(host));
    b.first = (uint64_t)(lacking != 0) << 63 | (uint64_t)!(flags & MESH_HOST_FLAG_PREFERRED) << 62 | effort << 16 | busy << 1 |
              ((flags & MESH_HOST_FLAG_WARMING) != 0);
    b.second = (uint32_t)(16 - room / (WHOLE / 16)) << 17 | (uint32_t)mesh_place_row_zone_copies(host) << 1 |
               !(flags & MESH_HOST_FLAG_SAME_ZONE);

    /* Insertion into the sorted best: few rows get in once it is full. */
    uint32_t at = len;
    if (at == MESH_TOP_ROWS) {
      if (!before(&b, &best[--at])) continue;
    } else {
      len++;
    }
    for (; at > 0 && before(&b, &best[at - 1]); at--) best[at] = best[at - 1];
    best[at] = b;
  }
  for (uint32_t i = 0; i < len; i++) {
    const uint16_t reason = best[i].first >> 63 ? MESH_REASON_LEAST_LOST : MESH_REASON_FREE;
    mesh_place_add(ranking, best[i].row, (int32_t)at_least(-best[i].loss, INT32_MIN), reason);
  }
}

MESH_PLACE(request, ranking) {
  const uint64_t load_weight = (uint64_t)at_most(at_least(mesh_config_int("load_weight", 1), 0), 1000);
  if (request->row_size >= ROW_SIZE) {
    /* Tells the compiler that each field is there, so that it reads them without looking. */
    mesh_request whole = *request;
    if (whole.row_size < ROW_SIZE) __builtin_unreachable();
    rank(whole, load_weight, ranking);
  } else {
    rank(*request, load_weight, ranking);
  }
}
