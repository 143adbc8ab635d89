/*
 * Greedy-Dual-Size-Frequency; see README.md. The mesh has the same policy built in, in Go, integer for integer: a change of
 * either changes both.
 */
#include "wasmesh_policy.h"

MESH_CONFIG("frequency", "priorities");

/* Bounds within which no product below leaves 63 bits. Real values are within them. */
#define MAX_USES (INT64_C(1) << 31)
#define MAX_LOAD_MS (INT64_C(1) << 22) /* 70 minutes */
#define MAX_INFLATION (INT64_C(1) << 60)

/* The room for the value of copies of one priority: 16 tiers of it on each side of 0 fill 32 bits. */
#define TIER_WIDTH (INT64_C(1) << 27)

/* The whole of a capacity, as shares count. */
#define WHOLE 65536

/* The unit of scale, the least that a copy counts for, and the most, which is 2^60 bytes. */
#define BLOCK_BYTES (INT64_C(1) << 14)
#define MAX_BLOCKS (INT64_C(1) << 46)

static inline int64_t at_least(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }

/* Rounds up, to one at least. */
static inline int64_t blocks_of(int64_t bytes) {
  return (at_most(at_least(bytes, 1), MAX_BLOCKS * BLOCK_BYTES) + BLOCK_BYTES - 1) / BLOCK_BYTES;
}

/* part/all in 65536ths, at least 1 for any part at all, at most the whole. all is positive. */
static inline int64_t share(int64_t part, int64_t all) {
  if (part <= 0) return 0;
  if (part >= all) return WHOLE;
  const int64_t shift = at_least(18 - __builtin_clzll((uint64_t)all), 0); /* to 46 bits */
  return at_least((part >> shift) * WHOLE / (all >> shift), 1);
}

/*
 * Turns what a copy takes into one number, which is positive: blocks of the first capacity that is counted, memory before
 * device, or what would be as large a share of it as the copy has of another. So whatever is scarce counts.
 */
typedef struct {
  int64_t memory, device, slots; /* capacities; 0 and less are not counted */
  int64_t blocks;                /* of the capacity that is the measure; 0 when none is counted */
} scale;

static inline scale scale_of(const mesh_request *request) {
  scale s = {mesh_evict_capacity_memory(request), mesh_evict_capacity_device(request), mesh_evict_capacity_slots(request), 0};
  if (s.memory > 0) s.blocks = blocks_of(s.memory);
  else if (s.device > 0) s.blocks = blocks_of(s.device);
  else if (s.slots > 0) s.blocks = WHOLE;
  return s;
}

/* What a copy takes. Without any capacity its memory is all there is to go by. */
static inline int64_t size_of(const scale *s, mesh_evict_row copy) {
  int64_t blocks = 1;
  if (s->memory > 0 || s->blocks == 0) blocks = blocks_of(mesh_evict_row_size_memory(copy));
  else if (s->device > 0) blocks = blocks_of(mesh_evict_row_size_device(copy));
  if (s->memory > 0 && s->device > 0)
    blocks = at_least(blocks, share(mesh_evict_row_size_device(copy), s->device) * s->blocks / WHOLE);
  if (s->slots > 0) blocks = at_least(blocks, share(mesh_evict_row_size_slots(copy), s->slots) * s->blocks / WHOLE);
  return blocks;
}

/* A copy of lower priority goes first. Priorities beyond -16 and 15 count as these. */
static inline int32_t in_tier(int32_t priority, int64_t value) {
  return (int32_t)(at_most(at_least(priority, -16), 15) * TIER_WIDTH + value);
}

MESH_EVICT(request, keep) {
  const scale s = scale_of(request);
  const int frequency = mesh_config_int("frequency", 1) != 0, priorities = mesh_config_int("priorities", 1) != 0;
  for (uint32_t i = 0; i < mesh_rows(request); i++) {
    mesh_evict_row copy = mesh_evict_row_at(request, i);
    const uint64_t used = mesh_evict_row_uses(copy);
    const int64_t uses = !frequency || used < 1 ? 1 : used > (uint64_t)MAX_USES ? MAX_USES : (int64_t)used;
    const int64_t load_ms = at_most(at_least(mesh_evict_row_load_ms(copy), 1), MAX_LOAD_MS);
    const int64_t value = uses * load_ms * 512 / size_of(&s, copy);
    /* The clock of Greedy-Dual began to count for this copy at its last use: what it has moved since is used up. */
    const int64_t left = value - at_most(at_least(mesh_evict_row_inflation(copy), 0), MAX_INFLATION);
    const int32_t priority = priorities ? mesh_evict_row_priority(copy) : 0;
    mesh_evict_add(keep, i, in_tier(priority, at_most(at_least(left, 0), TIER_WIDTH - 1)), MESH_REASON_FREQUENCY);
  }
}
