package members

import (
	"cmp"
	"slices"
)

// Arbiters are the hosts that may decide about a model, in the order in which to ask them: those that are live, may hold
// the model and do not leave, by rendezvous hash of the model's key and the host's id. All hosts with the same View
// agree, and when a host comes or goes only the models change hands for which it is, or was, the first. Hosts that do not
// know yet what the others hold come after all that do. When all that are left drain, they are asked all the same.
//
// Rendezvous hashing: D. Thaler, C. Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", 1998.
func (v *View) Arbiters(key uint64, runtimes []string) []*Member {
	var order []*Member
	draining := false
	for i := range v.All() {
		m := &v.hosts[i]
		if !m.Eligible(runtimes) {
			continue
		}
		if m.Draining {
			draining = true
			continue
		}
		order = append(order, m)
	}
	if len(order) == 0 && draining {
		for i := range v.hosts {
			if m := &v.hosts[i]; m.Eligible(runtimes) {
				order = append(order, m)
			}
		}
	}
	slices.SortFunc(order, func(a, b *Member) int {
		if a.Arbiter != b.Arbiter {
			if a.Arbiter {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(weight(key, b.key), weight(key, a.key)), cmp.Compare(a.ID, b.ID))
	})
	return order
}

// Home reports whether the host whose View it is comes first for the model.
func (v *View) Home(key uint64, runtimes []string) bool {
	self := v.Self()
	if self == nil || !self.Eligible(runtimes) || self.Draining {
		return false
	}
	own := weight(key, self.key)
	for i := range v.hosts {
		m := &v.hosts[i]
		if i == v.self || !m.Eligible(runtimes) || m.Draining {
			continue
		}
		if m.Arbiter != self.Arbiter {
			if m.Arbiter {
				return false
			}
			continue
		}
		if w := weight(key, m.key); w > own || w == own && m.ID < self.ID {
			return false
		}
	}
	return true
}

// weight is the host's claim to the key: both are hashes already, and the finalizer of SplitMix64 makes one of them.
func weight(key, host uint64) uint64 {
	x := key ^ host
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
