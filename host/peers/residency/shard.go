package residency

import (
	"math/bits"
	"sync/atomic"
)

// A shard of 16 to 64 entries is copied in a fraction of a microsecond, and what it costs beside its entries is little.
const (
	minShards    = 16
	mostPerShard = 64
	fewPerShard  = 12
)

// slot is an entry as it is kept: 24 bytes, without pointers, so that the garbage collector passes it over.
type slot struct {
	key        uint64
	used, size uint32
	host       uint32 // index of root.hosts
	state      State
}

func slotOf(e Entry) slot {
	if e.State == Absent {
		return slot{key: e.Key}
	}
	return slot{key: e.Key, state: e.State, size: units(e.Size), used: e.Used}
}

func (s slot) bytes() int64 { return int64(s.size) * SizeUnit }

func (s slot) entry() Entry { return Entry{Key: s.key, State: s.state, Size: s.bytes(), Used: s.used} }

func (s slot) sum() uint64 { return sumOf(s.key, s.state, s.size, s.used) }

// count is how many entries it is.
func (s slot) count() int64 {
	if s.state == Absent {
		return 0
	}
	return 1
}

// host is one in a root. Only held changes.
type host struct {
	id     string
	number uint32
	held   atomic.Int64
}

// root is a table between two changes of its number of shards or of its hosts. The writer changes the newest one, shard
// by shard; all others stay as they are for who still reads them.
type root struct {
	shards []atomic.Pointer[shard]
	hosts  []*host
	len    atomic.Int64
	shift  int
}

// shard is sorted by spread of the key, then by the number of the host, and does not change. So the shards one after the
// other are sorted too, however many they are.
type shard []slot

// newRoot makes one without entries. shards is a power of two.
func newRoot(shards int, hosts []*host) *root {
	return &root{shards: make([]atomic.Pointer[shard], shards), hosts: hosts, shift: 64 - bits.TrailingZeros(uint(shards))}
}

// shardsFor answers how many shards so many entries should have, when there are so many now.
func shardsFor(entries, now int) int {
	if entries <= now*mostPerShard && (entries >= now*fewPerShard || now == minShards) {
		return now
	}
	wanted := minShards
	for wanted*mostPerShard < entries {
		wanted *= 2
	}
	return wanted
}

// spread is where a key goes; its first bits are the shard. Keys are parts of digests already, except in tests and from
// hosts that lie.
func spread(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 }

func (r *root) index(key uint64) int { return int(spread(key) >> r.shift) }

func (r *root) shard(key uint64) shard { return r.load(r.index(key)) }

func (r *root) load(i int) shard {
	if s := r.shards[i].Load(); s != nil {
		return *s
	}
	return nil
}

// search answers where the key of that host is, or would be.
func (s shard) search(key uint64, host uint32) int {
	low, high, place := 0, len(s), spread(key)
	for low < high {
		mid := int(uint(low+high) >> 1)
		if m := &s[mid]; spread(m.key) < place || m.key == key && m.host < host {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// get answers a slot that is Absent for what is not there.
func (r *root) get(key uint64, host uint32) slot {
	s := r.shard(key)
	if i := s.search(key, host); i < len(s) && s[i].key == key && s[i].host == host {
		return s[i]
	}
	return slot{key: key, host: host}
}

// replace writes slots into their shard, in its order. It adds to changed the keys where a copy came, went or changed its
// state, and says by how many entries the shard has grown.
func (r *root) replace(at int, slots []slot, changed []uint64) (_ []uint64, grown int64) {
	old := r.load(at)
	differs := false
	for _, s := range slots {
		last := r.get(s.key, s.host)
		grown += s.count() - last.count()
		differs = differs || s != last
		if s.state != last.state {
			changed = append(changed, s.key)
		}
	}
	if !differs {
		return changed, 0
	}
	next := make(shard, 0, len(old)+int(grown))
	for _, s := range slots {
		i := old.search(s.key, s.host)
		next = append(next, old[:i]...)
		old = old[i:]
		if len(old) > 0 && old[0].key == s.key && old[0].host == s.host {
			old = old[1:]
		}
		if s.state != Absent {
			next = append(next, s)
		}
	}
	next = append(next, old...)
	if len(next) == 0 {
		r.shards[at].Store(nil)
	} else {
		r.shards[at].Store(&next)
	}
	return changed, grown
}

// fill takes in everything of another root, whose hosts have these numbers here.
func (r *root) fill(old *root, numbers []uint32) {
	counts := make([]int, len(r.shards))
	for i := range old.shards {
		for _, s := range old.load(i) {
			counts[r.index(s.key)]++
		}
	}
	shards := make([]shard, len(r.shards))
	for i, n := range counts {
		shards[i] = make(shard, 0, n)
	}
	for i := range old.shards { // Appending keeps the order: of keys as it is, and of hosts, who keep theirs.
		for _, s := range old.load(i) {
			s.host = numbers[s.host]
			to := &shards[r.index(s.key)]
			*to = append(*to, s)
		}
	}
	for i, s := range shards {
		if len(s) > 0 {
			r.shards[i].Store(&s)
		}
	}
}
