package eviction

import (
	"errors"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
)

// readEvery is how often a host looks at how its copies are used, besides when it ranks them.
const readEvery = 10 * time.Second

// Ranker says what copies are worth, for the request of that index. The ranking is good until it returns.
type Ranker func(request int, r modelcache.Ranking) ([]modelcache.Ranked, error)

// Host is what one host remembers, with the parts that a host remembers it in. Not safe for concurrent use.
type Host struct {
	trace  *Trace
	rank   Ranker
	ledger *modelcache.Ledger
	clock  modelcache.EvictionClock
	models []model
	// resident are the models with a copy, in the order of their loads.
	resident []int32
	now      time.Time
	read     time.Time
	lastCopy modelcache.CopyID
	rows     []modelcache.Candidate
	result   Result
}

// model is what is known of one; copy is nil while there is none.
type model struct {
	copy  *modelcache.Copy
	usage modelcache.Usage
}

// NewHost makes a host with so many bytes of memory for the models of the trace.
func NewHost(t *Trace, capacity int64, rank Ranker) *Host {
	return &Host{
		trace: t, rank: rank,
		ledger: modelcache.New(modelcache.Resources{modelcache.HostMemory: capacity}),
		models: make([]model, len(t.Models)),
	}
}

// Pass lets time pass. Everything below happens at the time that was told last.
func (h *Host) Pass(now time.Time) {
	h.now = now
	if now.Sub(h.read) >= readEvery {
		h.readUsage()
	}
}

// Result is what the host has done so far.
func (h *Host) Result() Result { return h.result }

// Ledger of the host, to be read.
func (h *Host) Ledger() *modelcache.Ledger { return h.ledger }

// Copies is how many there are.
func (h *Host) Copies() int { return len(h.resident) }

// Holds reports whether there is a copy of the model.
func (h *Host) Holds(model int32) bool { return h.models[model].copy != nil }

// Use has the copy of a model answer a request, if there is one.
func (h *Host) Use(model int32) {
	if c := h.models[model].copy; c != nil && c.Acquire(h.now) {
		c.Release()
	}
}

// Load makes a model resident for the request of that index, if it can be at all, and answers the models that had to go.
func (h *Host) Load(request int, model int32) (evicted []int32, err error) {
	h.result.Loads++
	h.result.Loading += h.trace.Models[model].Load
	h.lastCopy++
	need := modelcache.Resources{modelcache.HostMemory: h.trace.Models[model].Size}
	reservation, _, err := h.ledger.Reserve(h.lastCopy, need, nil)
	if _, never := errors.AsType[*modelcache.NeverFitsError](err); never {
		return nil, nil
	}
	if _, full := errors.AsType[*modelcache.NoRoomError](err); full {
		reservation, evicted, err = h.evictFor(request, model, need)
	}
	if err != nil {
		return nil, err
	}
	h.models[model].copy, err = reservation.Commit(h.now, h.now, modelcache.Keep{})
	h.resident = append(h.resident, model)
	return evicted, err
}

// Survey is what the copies are worth and how they are used, as other hosts are told.
func (h *Host) Survey(request int) (reclaim modelcache.Curve, rate uint64, err error) {
	r := h.ranking(modelcache.Incoming{Purpose: modelcache.Worth})
	for i := range r.Copies {
		rate += r.Copies[i].Rate
	}
	if len(r.Copies) == 0 {
		return reclaim, rate, nil
	}
	ranked, err := h.rank(request, r)
	if err != nil {
		return reclaim, rate, err
	}
	return modelcache.Reclaim(r, ranked), rate, nil
}

// Oldest is the last use of the least recently used copy; zero when there is none.
func (h *Host) Oldest() (oldest time.Time) {
	for _, i := range h.resident {
		if used := h.models[i].copy.LastUsed(); oldest.IsZero() || used.Before(oldest) {
			oldest = used
		}
	}
	return oldest
}

// Record is what the host remembers of the use of a model.
func (h *Host) Record(model int32) modelcache.UsageRecord {
	m := &h.models[model]
	if m.copy != nil {
		m.usage.Read(h.now, m.copy.Info())
	}
	return m.usage.Record()
}

// Remember takes in what another host does.
func (h *Host) Remember(model int32, r modelcache.UsageRecord) { h.models[model].usage.Merge(h.now, r) }

// evictFor reserves memory for a model by evicting others, which it answers.
func (h *Host) evictFor(request int, model int32, need modelcache.Resources) (*modelcache.Reservation, []int32, error) {
	h.result.Rankings++
	r := h.ranking(modelcache.Incoming{
		Model: h.trace.Models[model].Name, Key: key(model), Need: need, Purpose: modelcache.Miss, Declared: true,
	})
	ranked, err := h.rank(request, r)
	if err != nil {
		return nil, nil, err
	}
	arranged := modelcache.Arrange(r, ranked)
	order := make([]modelcache.CopyID, len(arranged))
	keeps := make(map[modelcache.CopyID]int32, len(arranged))
	for at, said := range arranged {
		order[at] = said.ID
		keeps[said.ID] = said.Keep
	}
	reservation, victims, err := h.ledger.Reserve(h.lastCopy, need, order)
	if err != nil {
		return nil, nil, err
	}
	highest := int32(0)
	var evicted []int32
	for _, v := range victims {
		highest = max(highest, keeps[v.ID])
		evicted = append(evicted, h.evicted(v.ID))
	}
	h.clock.Evicted(h.now, highest)
	return reservation, evicted, nil
}

// evicted takes leave of a victim, and answers its model. Its usage is remembered.
func (h *Host) evicted(id modelcache.CopyID) int32 {
	h.result.Evictions++
	at := slices.IndexFunc(h.resident, func(i int32) bool { return h.models[i].copy.ID() == id })
	i := h.resident[at]
	m := &h.models[i]
	h.ledger.Unloaded(id)
	m.usage.Read(h.now, m.copy.Info())
	m.copy = nil
	h.resident = slices.Delete(h.resident, at, at+1)
	return i
}

// ranking describes the copies that there are to whoever ranks them.
func (h *Host) ranking(incoming modelcache.Incoming) modelcache.Ranking {
	h.readUsage()
	h.rows = h.rows[:0]
	for _, i := range h.resident {
		m, of := &h.models[i], &h.trace.Models[i]
		c := modelcache.Candidate{CopyInfo: m.copy.Info(), Model: of.Name, Key: key(i), LoadCost: of.Load}
		c.Rate, c.RateRecent = m.usage.Rates(h.now)
		c.Inflation = h.clock.Since(c.UsedAt(h.now))
		h.rows = append(h.rows, c)
	}
	return modelcache.Ranking{
		Now: h.now, Incoming: incoming, Free: h.ledger.Free(), Capacity: h.ledger.Capacity(), Copies: h.rows,
	}
}

// readUsage takes in what has come to every copy.
func (h *Host) readUsage() {
	h.read = h.now
	for _, i := range h.resident {
		m := &h.models[i]
		m.usage.Read(h.now, m.copy.Info())
	}
}

// key stands for a model as its digest does elsewhere. It is also its index in the trace.
func key(model int32) uint64 { return uint64(model) + 1 }
