package route

import (
	"slices"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/peers/residency"
)

// Kind is what is to be done with a request.
type Kind uint8

const (
	// Nobody: no live host may hold the model.
	Nobody Kind = iota
	// Local: the copy of this host.
	Local
	// Peer: the copy of another host.
	Peer
	// Held: a host, maybe this one, that is going to load the model; the request waits there.
	Held
	// MustLoad: somebody has to load it; the model's arbiter says who.
	MustLoad
)

// Input is the mesh at one moment, for one model.
type Input struct {
	View *members.View
	// Runtimes are the ServingRuntimes that can hold the model.
	Runtimes []string
	// Copies of the model, this host's own among them, as residency has them.
	Copies []residency.Copy
	// Self is this host's id.
	Self string
	// LocalInFlight are the requests in this host's own copy, and waiting for it.
	LocalInFlight int
	// Target is how many requests a copy should have at most; 0 is no limit.
	Target int
	// InFlight counts the requests that this host has on their way to a peer; nil when there are none.
	InFlight func(host string) int
	// Rand is fresh for each Pick.
	Rand uint64

	// Tried are hosts whose copies are not to be picked; they can still load the model. Exclude are hosts that take no
	// part at all. A Trip sets both.
	Tried, Exclude []string
}

// Choice is where a request goes.
type Choice struct {
	Kind Kind
	// Host is set for Local, Peer and Held.
	Host string
	// Wait: the request waits there for the load.
	Wait bool
}

// Pick chooses where the request goes next: to this host's copy, unless that has as many requests as it should and a peer
// has fewer; else to the less busy of two random peers with a copy; else to a host that is loading one.
func Pick(in Input) Choice {
	var room [8]*members.Member // most models have fewer copies, and then nothing is allocated
	local, peers := in.loaded(room[:0])
	if local && !in.overflows(peers) {
		return Choice{Kind: Local, Host: in.Self}
	}
	if len(peers) > 0 {
		return Choice{Kind: Peer, Host: in.twoChoices(peers).ID}
	}
	if local {
		return Choice{Kind: Local, Host: in.Self}
	}
	if host := in.held(); host != "" {
		return Choice{Kind: Held, Host: host, Wait: true}
	}
	for i := range in.View.All() {
		if m := &in.View.All()[i]; m.Eligible(in.Runtimes) && !slices.Contains(in.Exclude, m.ID) {
			return Choice{Kind: MustLoad}
		}
	}
	return Choice{Kind: Nobody}
}

// loaded are the peers with a copy that answers, in the room of into, and whether this host has one. Hosts that are about to leave count only
// when no other has one.
func (in *Input) loaded(into []*members.Member) (local bool, peers []*members.Member) {
	peers = into
	var leaving []*members.Member
	for _, c := range in.Copies {
		if c.State != residency.Loaded || in.passed(c.Host) {
			continue
		}
		if c.Host == in.Self {
			local = true
			continue
		}
		m := in.View.Find(c.Host)
		switch {
		case m == nil || !m.Live:
		case m.Draining:
			leaving = append(leaving, m)
		default:
			peers = append(peers, m)
		}
	}
	if len(peers) == 0 {
		peers = leaving
	}
	return local, peers
}

// passed reports whether a host's copy is not to be picked.
func (in *Input) passed(host string) bool {
	return slices.Contains(in.Tried, host) || slices.Contains(in.Exclude, host)
}

// overflows reports whether the local copy has as many requests as it should, and some peer with a copy has fewer. What a
// peer says of all its requests counts, and not only what comes from here: otherwise hosts that are all as busy would
// send each other half of their requests.
func (in *Input) overflows(peers []*members.Member) bool {
	if in.Target <= 0 || in.LocalInFlight < in.Target {
		return false
	}
	return slices.ContainsFunc(peers, func(m *members.Member) bool {
		return max(m.Figures.InFlight, in.inFlight(m.ID)) < in.LocalInFlight
	})
}

func (in *Input) inFlight(host string) int {
	if in.InFlight == nil {
		return 0
	}
	return in.InFlight(host)
}

// nearTie is by how many requests in flight two peers may differ, as a share of the larger number and at least by one, to
// count as equal: then the zone decides.
const nearTie = 1.0 / 8

// twoChoices compares two random peers, which keeps the fullest of n within log log n of the others (M. Mitzenmacher, "The
// Power of Two Choices in Randomized Load Balancing", 1996) and, unlike the least of all, does not have every host choose
// the same at once. Fewer requests in flight from this host win, the same zone on a near tie.
func (in *Input) twoChoices(peers []*members.Member) *members.Member {
	n := uint64(len(peers))
	if n == 1 {
		return peers[0]
	}
	first := in.Rand % n
	second := (in.Rand >> 32) % (n - 1)
	if second >= first {
		second++
	}
	a, b := peers[first], peers[second]
	x, y := in.inFlight(a.ID), in.inFlight(b.ID)
	if near := max(1, int(float64(max(x, y))*nearTie)); x-y <= near && y-x <= near {
		zone := in.zone()
		if near, far := a.Zone == zone, b.Zone == zone; near != far {
			if near {
				return a
			}
			return b
		}
	}
	if y < x {
		return b
	}
	return a
}

func (in *Input) zone() string {
	if self := in.View.Self(); self != nil {
		return self.Zone
	}
	return ""
}

// held is the best host that is going to load the model: one that does not leave before one that does, one that is
// loading before one that has yet to begin, this host before others, else the first by id, so that all wait at the same.
func (in *Input) held() string {
	best, rank := "", 0
	for _, c := range in.Copies {
		if c.State != residency.Queued && c.State != residency.Loading || in.passed(c.Host) {
			continue
		}
		m := in.View.Find(c.Host)
		if c.Host != in.Self && (m == nil || !m.Live) {
			continue
		}
		r := 1
		if m == nil || !m.Draining {
			r += 4
		}
		if c.State == residency.Loading {
			r += 2
		}
		if c.Host == in.Self {
			r++
		}
		if r > rank || r == rank && c.Host < best {
			best, rank = c.Host, r
		}
	}
	return best
}
