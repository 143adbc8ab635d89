package eviction

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
)

// epoch is the start of every trace.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// readEvery is how often a host looks at how its copies are used, besides when it ranks them.
const readEvery = 10 * time.Second

// Ranker says what copies are worth, for the request of that index. The ranking is good until it returns.
type Ranker func(request int, r modelcache.Ranking) ([]modelcache.Ranked, error)

// Result is what a replay cost.
type Result struct {
	// Loading is the time of all loads, of which there were so many.
	Loading time.Duration
	Loads   int
	// Rankings were asked for, and so many copies were evicted.
	Rankings, Evictions int
}

// Replay serves the trace from so many bytes of memory. A model that is larger is loaded for each request and never stays.
func Replay(t *Trace, capacity int64, rank Ranker) (Result, error) {
	h := &host{
		trace: t, rank: rank,
		ledger: modelcache.New(modelcache.Resources{modelcache.HostMemory: capacity}),
		models: make([]model, len(t.Models)),
	}
	for i := range t.Requests {
		h.now = epoch.Add(t.Requests[i].At)
		if h.now.Sub(h.read) >= readEvery {
			h.readUsage()
		}
		if err := h.serve(i, t.Requests[i].Model); err != nil {
			return h.result, fmt.Errorf("replay request %d at %v: %w", i, t.Requests[i].At, err)
		}
	}
	return h.result, nil
}

// host is what one host remembers, with the parts that a host remembers it in.
type host struct {
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

// serve answers one request, after a load if need be.
func (h *host) serve(request int, i int32) error {
	m := &h.models[i]
	if m.copy == nil {
		if err := h.load(request, i); err != nil {
			return err
		}
	}
	if m.copy != nil && m.copy.Acquire(h.now) {
		m.copy.Release()
	}
	return nil
}

// load makes the model resident, if it can be at all.
func (h *host) load(request int, i int32) error {
	h.result.Loads++
	h.result.Loading += h.trace.Models[i].Load
	h.lastCopy++
	need := modelcache.Resources{modelcache.HostMemory: h.trace.Models[i].Size}
	reservation, _, err := h.ledger.Reserve(h.lastCopy, need, nil)
	if _, never := errors.AsType[*modelcache.NeverFitsError](err); never {
		return nil
	}
	if _, full := errors.AsType[*modelcache.NoRoomError](err); full {
		reservation, err = h.evictFor(request, i, need)
	}
	if err != nil {
		return err
	}
	h.models[i].copy, err = reservation.Commit(h.now, h.now, modelcache.Keep{})
	h.resident = append(h.resident, i)
	return err
}

// evictFor reserves memory for a model by evicting others.
func (h *host) evictFor(request int, i int32, need modelcache.Resources) (*modelcache.Reservation, error) {
	h.result.Rankings++
	r := h.ranking(i, need)
	ranked, err := h.rank(request, r)
	if err != nil {
		return nil, err
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
		return nil, err
	}
	highest := int32(0)
	for _, v := range victims {
		highest = max(highest, keeps[v.ID])
		h.evicted(v.ID)
	}
	h.clock.Evicted(h.now, highest)
	return reservation, nil
}

// evicted takes leave of a victim. Its usage is remembered.
func (h *host) evicted(id modelcache.CopyID) {
	h.result.Evictions++
	at := slices.IndexFunc(h.resident, func(i int32) bool { return h.models[i].copy.ID() == id })
	m := &h.models[h.resident[at]]
	h.ledger.Unloaded(id)
	m.usage.Read(h.now, m.copy.Info())
	m.copy = nil
	h.resident = slices.Delete(h.resident, at, at+1)
}

// ranking describes the copies that there are to whoever ranks them for a model.
func (h *host) ranking(incoming int32, need modelcache.Resources) modelcache.Ranking {
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
		Now: h.now,
		Incoming: modelcache.Incoming{
			Model: h.trace.Models[incoming].Name, Key: key(incoming), Need: need, Purpose: modelcache.Miss, Declared: true,
		},
		Free: h.ledger.Free(), Capacity: h.ledger.Stats().Capacity, Copies: h.rows,
	}
}

// readUsage takes in what has come to every copy.
func (h *host) readUsage() {
	h.read = h.now
	for _, i := range h.resident {
		m := &h.models[i]
		m.usage.Read(h.now, m.copy.Info())
	}
}

// key stands for a model as its digest does elsewhere. It is also its index in the trace.
func key(model int32) uint64 { return uint64(model) + 1 }
