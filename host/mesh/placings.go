package mesh

import (
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/wasmesh/wasmesh/host/arbiter"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// maxPlacings bounds the placements that are followed; of more at once the oldest end without a word.
const maxPlacings = 4096

// placings follow what comes of the placements of this host's arbiter, for the records of its decisions. The arbiter itself
// is done when a host has taken the load on; residency says the rest. It is the arbiter loop's alone.
type placings struct {
	// asked are reservations without an answer; as many as there are on their way.
	asked map[arbiter.ReserveID]placing
	// granted by model.
	granted *lru.Cache[uint64, placing]
}

// placing is one: a load on a host, and what was last noted of it.
type placing struct {
	decision uint64
	key      uint64
	host     string
	noted    residency.State
}

func newPlacings() (*placings, error) {
	granted, err := lru.New[uint64, placing](maxPlacings)
	if err != nil {
		return nil, err
	}
	return &placings{asked: make(map[arbiter.ReserveID]placing), granted: granted}, nil
}

// sent begins to follow a reservation that has a decision to note something of.
func (p *placings) sent(r arbiter.Reserve) {
	if r.Decision != 0 {
		p.asked[r.ID] = placing{decision: r.Decision, key: r.Key, host: r.Host}
	}
}

// answered answers the model of a reservation that was granted.
func (p *placings) answered(r arbiter.Reserved) (key uint64, granted bool) {
	asked, ok := p.asked[r.ID]
	delete(p.asked, r.ID)
	if !ok || !r.Granted {
		return 0, false
	}
	p.granted.Add(asked.key, asked)
	return asked.key, true
}

// look answers the note on a model's placement, if there is something new to say; copies are those of the model.
func (p *placings) look(key uint64, copies []residency.Copy, failure func(host string) *syncv1.Failure) (decision uint64, note string) {
	placed, ok := p.granted.Get(key)
	if !ok {
		return 0, ""
	}
	state := residency.Absent
	for _, c := range copies {
		if c.Host == placed.host {
			state = c.State
		}
	}
	switch state {
	case placed.noted:
		// Absent at first: residency may be behind the answer.
		return 0, ""
	case residency.Queued, residency.Loading:
		placed.noted = state
		p.granted.Add(key, placed)
		if state == residency.Queued {
			return 0, ""
		}
		return placed.decision, "loading on " + placed.host
	case residency.Loaded:
		note = "loaded on " + placed.host
	case residency.Failed:
		note = "failed to load on " + placed.host
		if f := failure(placed.host); f != nil {
			note += fmt.Sprintf(" (attempt %d): %s", f.GetAttempts(), f.GetMessage())
		}
	default:
		note = "not loaded on " + placed.host + ": it was removed, nobody waited for it any more, or the host has gone"
	}
	p.granted.Remove(key)
	return placed.decision, note
}
