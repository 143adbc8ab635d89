package hook

import (
	"sort"
	"sync"
	"unicode/utf8"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

const (
	// bytesPerEntry sizes the table of entries from the arena: smaller requests fill the table first.
	bytesPerEntry = 2 << 10
	minEntries    = 64
	// maxText and maxVictims bound what is kept of one decision outside the arena.
	maxText    = 1 << 10
	maxVictims = 256
)

// recorder keeps the last decisions in a ring. Requests are encoded straight into its arena, and the answer goes into the
// response area of the request, so that recording costs nothing but bookkeeping under a lock. The arena and the table of
// entries never grow.
//
// A slot is reserved, written by its owner without the lock, and committed. Until then it cannot be reused: who finds the
// ring blocked by such a slot goes unrecorded instead of waiting.
type recorder struct {
	// base makes ids unique on this host: see Config.
	base uint64

	mu    sync.Mutex // guards below, and all that is committed
	arena []byte
	// head is where the next request goes.
	head int
	// entries is a ring of count entries from first on, oldest first.
	entries      []entry
	first, count int
	// decisions counts all that were reserved; written how many entries there ever were.
	decisions, written uint64
}

// entry is one recorded decision.
type entry struct {
	id           uint64
	pending      bool
	offset, size int
	decided
}

// decided is what is known of a decision beside its request.
type decided struct {
	reply
	generation *syncv1.Generation
	tally      *tally
	timeMS     int64
	model      string
	// response is where the answer begins in the request; answer its length.
	response, answer int
	effect           string
	victims          []string
}

// slot is room for one request.
type slot struct {
	id uint64
	// entry is its index, -1 when the decision goes unrecorded.
	entry int
	// bytes is the room; nil when the decision goes unrecorded.
	bytes []byte
}

func newRecorder(size int, base uint64) *recorder {
	return &recorder{base: base, arena: make([]byte, size), entries: make([]entry, max(minEntries, size/bytesPerEntry))}
}

// reserve numbers a decision and, if it is to be kept, answers room for its request, if there is any.
func (r *recorder) reserve(size int, keep bool) slot {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := slot{id: r.base + r.decisions<<hookBits, entry: -1}
	r.decisions++
	if !keep {
		return s
	}
	offset, ok := r.room(size)
	if !ok {
		return s
	}
	s.entry = (r.first + r.count) % len(r.entries)
	s.bytes = r.arena[offset : offset+size : offset+size]
	r.entries[s.entry] = entry{id: s.id, pending: true, offset: offset, size: size}
	r.head = offset + size
	r.count++
	r.written++
	return s
}

// room finds contiguous bytes, at the cost of the oldest entries.
func (r *recorder) room(size int) (offset int, ok bool) {
	if size > len(r.arena) {
		return 0, false
	}
	for {
		if r.count == 0 {
			return 0, true
		}
		if r.count < len(r.entries) {
			tail := r.entries[r.first].offset
			switch wrapped := r.head <= tail; {
			case wrapped && tail-r.head >= size, !wrapped && len(r.arena)-r.head >= size:
				return r.head, true
			case !wrapped && tail >= size:
				return 0, true
			}
		}
		if r.entries[r.first].pending {
			return 0, false
		}
		r.entries[r.first] = entry{}
		r.first = (r.first + 1) % len(r.entries)
		r.count--
	}
}

// commit makes a slot's decision visible.
func (r *recorder) commit(s slot, d decided) {
	if s.entry < 0 {
		return
	}
	d.model, d.effect = clip(d.model, maxText), clip(d.effect, maxText)
	r.mu.Lock()
	defer r.mu.Unlock()
	e := &r.entries[s.entry]
	e.decided, e.pending = d, false
}

// amend changes the entry of a decision, if it is still there.
func (r *recorder) amend(id uint64, change func(*decided)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := sort.Search(r.count, func(i int) bool { return r.at(i).id >= id })
	if at < r.count && r.at(at).id == id && !r.at(at).pending {
		change(&r.at(at).decided)
	}
}

// at is the i-th entry, oldest first.
func (r *recorder) at(i int) *entry { return &r.entries[(r.first+i)%len(r.entries)] }

// each calls yield with entries from the newest to the oldest, and with their requests, which are only lent. The lock is
// held during one call at a time: decisions wait for the copying of one record at most.
func (r *recorder) each(yield func(e *entry, request []byte) bool) {
	r.mu.Lock()
	next := r.written
	r.mu.Unlock()
	for next > 0 {
		next--
		if !r.visit(next, yield) {
			return
		}
	}
}

// visit yields the entry that was written as the n-th, and answers whether to go on to older ones.
func (r *recorder) visit(n uint64, yield func(e *entry, request []byte) bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	oldest := r.written - uint64(r.count)
	if n < oldest {
		return false
	}
	e := r.at(int(n - oldest))
	return e.pending || yield(e, r.arena[e.offset:e.offset+e.size])
}

// clip shortens text to at most n bytes, whole characters.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
