// A placement policy in miniature: it scores rows of 64 bytes and remembers the best. The metering benchmark runs it.
// Built with: zig cc -target wasm32-freestanding -O2 -nostdlib -Wl,--no-entry -Wl,--export-memory -s -o score.wasm score.c

typedef unsigned int u32;
typedef unsigned long long u64;

struct row {
	u64 capacity, used;
	long long last_use_ms;
	u32 requests, in_flight, loading, flags;
	u64 labels, rate, spare;
};

static struct row rows[1024];
static int scores[1024];

__attribute__((export_name("rows"))) struct row *rows_at(void) { return rows; }
__attribute__((export_name("scores"))) int *scores_at(void) { return scores; }

// score returns the index of the best of n rows for a model of need bytes, or -1.
__attribute__((export_name("score"))) int score(u32 n, u64 need, long long now_ms)
{
	int best = -1, best_score = -2147483647;
	for (u32 i = 0; i < n; i++) {
		const struct row *r = &rows[i];
		if (r->flags & 1) {
			scores[i] = -1;
			continue;
		}
		u64 free = r->capacity > r->used ? r->capacity - r->used : 0;
		int s = (int)(free >> 20) - (int)r->requests * 3 - (int)r->in_flight * 16;
		if (free < need)
			s -= 100000;
		if (r->loading > 2)
			s -= (int)r->loading * 50;
		long long idle = now_ms - r->last_use_ms;
		if (idle > 60000)
			s += (int)(idle / 1000);
		scores[i] = s;
		if (s > best_score) {
			best_score = s;
			best = (int)i;
		}
	}
	return best;
}
