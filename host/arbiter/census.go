package arbiter

import (
	"time"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// census is where a model is, as this host sees it at one moment.
type census struct {
	// held are the copies that count: queued, loading and loaded ones on live hosts that stay, by host id. A host that has
	// taken the model on holds it queued until residency knows better; a copy that is being given up does not count.
	held []holding
	// loaded are those of them that answer requests.
	loaded int
	// failed are the live hosts that could not load the model and are not to try again yet, by host id.
	failed []failure
	// leaving is the copy that is being given up, the host's id; empty for none. stays: it is there yet.
	leaving string
	stays   bool
	// size is that of the largest copy, in bytes, and used when the last request came to any; 0 when that is not known.
	size int64
	used time.Time
}

type holding struct {
	host  *members.Member
	state residency.State
	used  uint32
}

// failure is that of a model on a host; why is nil when that is not known.
type failure struct {
	host string
	why  *syncv1.Failure
}

// tooSmall reports whether the model never fits there.
func (f failure) tooSmall() bool {
	return f.why.GetReason() == syncv1.FailureReason_FAILURE_REASON_CANNOT_FIT
}

// grant is a host that has taken the model on a moment ago.
type grant struct {
	host  string
	epoch uint64
	until time.Time
}

// census counts, and forgets grants that residency has caught up with.
func (m *Machine) census(mo *model) census {
	var c census
	if r := mo.release; r != nil {
		c.leaving = r.host
	}
	m.copies = m.config.Copies(mo.key, m.copies[:0])
	grants := m.liveGrants(mo)
	for _, copied := range m.copies {
		c.size = max(c.size, copied.Size)
		if used := usedAt(copied.Used); used.After(c.used) {
			c.used = used
		}
		c.stays = c.stays || copied.Host == c.leaving && holds(copied.State)
		host := m.step.view.Find(copied.Host)
		if host == nil || !host.Live || host.Draining || host.ID == c.leaving {
			continue
		}
		switch granted := indexOfGrant(grants, host.ID); {
		case holds(copied.State):
			if granted >= 0 {
				grants = append(grants[:granted], grants[granted+1:]...)
			}
			c.held = append(c.held, holding{host: host, state: copied.State, used: copied.Used})
		case granted >= 0: // What residency says is older than the grant.
		case copied.State == residency.Failed:
			if why := m.config.Failure(mo.key, host.ID); !retryDue(why, m.step.now) {
				c.failed = append(c.failed, failure{host: host.ID, why: why})
			}
		}
		if copied.State == residency.Loaded {
			c.loaded++
		}
	}
	if r := mo.release; r != nil && r.done && !c.stays {
		mo.release, c.leaving = nil, ""
	}
	mo.grants = grants
	for _, g := range grants {
		if host := m.step.view.Find(g.host); !host.Draining && host.ID != c.leaving {
			c.insert(holding{host: host, state: residency.Queued})
		}
		mo.wake(g.until)
	}
	return c
}

// holds reports whether a model in this state is on the host or going to be.
func holds(s residency.State) bool {
	return s == residency.Queued || s == residency.Loading || s == residency.Loaded
}

// retryDue reports whether the host itself would try again by now. Clocks differ: the host has the last word.
func retryDue(why *syncv1.Failure, now time.Time) bool {
	return why.GetRetryAtMs() > 0 && why.GetRetryAtMs() <= now.UnixMilli()
}

func usedAt(bucket uint32) time.Time {
	if bucket == 0 {
		return time.Time{}
	}
	return time.Unix(int64(bucket)*residency.UsedUnit, 0)
}

// liveGrants are those that count still.
func (m *Machine) liveGrants(mo *model) []grant {
	live := mo.grants[:0]
	for _, g := range mo.grants {
		host := m.step.view.Find(g.host)
		if host != nil && host.Live && host.Epoch == g.epoch && g.until.After(m.step.now) {
			live = append(live, g)
		}
	}
	return live
}

func indexOfGrant(grants []grant, host string) int {
	for i := range grants {
		if grants[i].host == host {
			return i
		}
	}
	return -1
}

// insert puts a holding into held, by host id.
func (c *census) insert(h holding) {
	at := len(c.held)
	c.held = append(c.held, h)
	for at > 0 && c.held[at-1].host.ID > h.host.ID {
		c.held[at] = c.held[at-1]
		at--
	}
	c.held[at] = h
}

// count is how many copies there are to come to the owner's limit.
func (c *census) count() int {
	if c.stays {
		return len(c.held) + 1
	}
	return len(c.held)
}

// best is the copy that is soonest of use to the demand; nil when none is.
func (c *census) best(d demand) *holding {
	var best *holding
	for i := range c.held {
		if h := &c.held[i]; d.accepts(h.host.ID) && (best == nil || h.state > best.state) {
			best = h
		}
	}
	return best
}

// on is the copy on this host; nil for none.
func (c *census) on(host string) *holding {
	for i := range c.held {
		if c.held[i].host.ID == host {
			return &c.held[i]
		}
	}
	return nil
}

// failureOn is that on this host, where it is not to be tried again yet; nil for none.
func (c *census) failureOn(host string) *failure {
	for i := range c.failed {
		if c.failed[i].host == host {
			return &c.failed[i]
		}
	}
	return nil
}
