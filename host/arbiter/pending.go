package arbiter

import (
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/peers/residency"
)

const (
	// promiseTTL is how long a Reserve counts against its host's free memory at most, should its figures never move on.
	promiseTTL = 30 * time.Second
	// promisesPerHost bounds them; the oldest go.
	promisesPerHost = 1024
)

// hosts is what is known of hosts beyond the View, by id; never of more hosts than are in it.
type hosts map[string]*host

type host struct {
	epoch uint64
	// figures came with an answer; the View's may be newer.
	figures  members.Figures
	promises []promise // By age.
	// distrust: it gave no answer, and is passed over until then.
	distrust time.Time
	// full: it refused a load that nobody waits for, and is offered none until then.
	full time.Time
	// busy is since when it has refused such loads only for having too many under way, busyAt when it last did; zero when it
	// has not.
	busy, busyAt time.Time
}

// promise is a Reserve of which the host's figures do not tell yet.
type promise struct {
	reserve ReserveID
	key     uint64
	need    modelcache.Resources
	at      time.Time
	// granted, at the time of figures with that sequence.
	granted  bool
	sequence uint64
}

// of answers what is known of a member; nothing of its earlier lives.
func (hs hosts) of(m *members.Member) *host {
	h := hs[m.ID]
	if h == nil || h.epoch != m.Epoch {
		h = &host{epoch: m.Epoch}
		hs[m.ID] = h
	}
	return h
}

// named is what is known of the host of this id; what is noted there is lost if it is not in the View.
func (hs hosts) named(id string) *host {
	if h := hs[id]; h != nil {
		return h
	}
	return &host{}
}

// keep forgets the hosts that are not there any more.
func (hs hosts) keep(view *members.View) {
	for id := range hs {
		if view.Find(id) == nil {
			delete(hs, id)
		}
	}
}

func (h *host) heard(f members.Figures) {
	if f.Sequence > h.figures.Sequence {
		h.figures = f
	}
}

func (h *host) promise(p promise) {
	if len(h.promises) >= promisesPerHost {
		h.promises = slices.Delete(h.promises, 0, 1)
	}
	h.promises = append(h.promises, p)
}

// promised notes that a Reserve was granted when the host's figures were these.
func (h *host) promised(id ReserveID, sequence uint64) {
	for i := range h.promises {
		if p := &h.promises[i]; p.reserve == id {
			p.granted, p.sequence = true, sequence
		}
	}
}

// withdraw: the Reserve came to nothing, or cost nothing.
func (h *host) withdraw(id ReserveID) {
	h.promises = slices.DeleteFunc(h.promises, func(p promise) bool { return p.reserve == id })
}

// newest are the newest figures that there are of a member.
func (h *host) newest(member *members.Member) *members.Figures {
	if h.figures.Sequence > member.Figures.Sequence {
		return &h.figures
	}
	return &member.Figures
}

// figures are the newest that there are of a member.
func (m *Machine) figures(member *members.Member) *members.Figures {
	return m.hosts.of(member).newest(member)
}

// outstanding are the promises of a host that its figures do not tell of; those that they do are forgotten.
func (m *Machine) outstanding(h *host, id string, sequence uint64) []promise {
	if len(h.promises) > 0 {
		h.promises = slices.DeleteFunc(h.promises, func(p promise) bool {
			return m.step.now.Sub(p.at) > promiseTTL || p.granted && sequence > p.sequence && !m.unreserved(p.key, id)
		})
	}
	return h.promises
}

// unreserved reports whether the host has yet to reserve memory for a model that it has taken on.
func (m *Machine) unreserved(key uint64, host string) bool {
	m.others = m.config.Copies(key, m.others[:0])
	for _, c := range m.others {
		if c.Host == host {
			return c.State == residency.Queued && c.Size == 0
		}
	}
	return false
}

// believed is what a member has free once it has done all that it was asked to, and how many loads that are which its
// figures do not tell of.
func (m *Machine) believed(member *members.Member) (free modelcache.Resources, loads int) {
	h := m.hosts.of(member)
	figures := h.newest(member)
	free = figures.Free
	promises := m.outstanding(h, member.ID, figures.Sequence)
	for i := range promises {
		free = free.Minus(promises[i].need)
	}
	return free, len(promises)
}
