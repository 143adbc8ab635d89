package simulate

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/arbiter"
	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/route"
	"github.com/wasmesh/wasmesh/host/simulate/scenario"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

const (
	// aftermath is for how long after a fault requests may fare worse: what was lost is loaded again.
	aftermath = 30 * time.Second
	// tight is a deadline that a request may miss at any time: loads take as long.
	tight = 10 * time.Second
)

// checks is what is remembered in order to hold the mesh to its promises.
type checks struct {
	disturbances []disturbance
	// pledges are what each arbiter has asked hosts to load of late, by the arbiter's life and model.
	pledges map[pledger][]*pledge
	// grants and silences count, for each decision of a place hook, the hosts that began a load for it, and those that
	// gave no answer.
	grants, silences map[uint64]int
	// exclusions are when a host was last excluded for a model.
	exclusions map[exclusion]time.Duration
}

// disturbance is a fault, from when to when, and the hosts that it is about; none for all.
type disturbance struct {
	verb     scenario.Verb
	from, to time.Duration
	hosts    []*host
}

type pledger struct {
	host  int
	life  uint64
	model string
}

type pledge struct {
	id       arbiter.ReserveID
	host     *host
	life     uint64
	purpose  policyabi.Purpose
	decision uint64
	// granted, or given up without an answer.
	granted, silent bool
	at              time.Duration
	// by is when the arbiter expects the answer, by its own clock, which may jump.
	by time.Time
}

type exclusion struct{ model, host string }

func newChecks() checks {
	return checks{
		pledges: map[pledger][]*pledge{}, grants: map[uint64]int{}, silences: map[uint64]int{}, exclusions: map[exclusion]time.Duration{},
	}
}

func (c *checks) disturb(now time.Duration, step scenario.Step, h *host, several []*host) {
	d := disturbance{verb: step.Verb, from: now, to: now + step.For, hosts: several}
	if h != nil {
		d.hosts = append(d.hosts, h)
	}
	if step.Verb == scenario.Partition {
		d.hosts = nil
	}
	c.disturbances = append(c.disturbances, d)
}

// Excuses for requests that are not served. Whatever is not among them must not be felt by anybody: hosts that leave or
// come, connections that break and stand again, messages that get lost, clocks, the controller's absence.
var (
	breaks = []scenario.Verb{
		scenario.Crash, scenario.Hang, scenario.Partition, scenario.Cut, scenario.Reset, scenario.RuntimeCrash,
	}
	delays = append([]scenario.Verb{scenario.SlowPeer, scenario.SlowDisk, scenario.StickyUnload}, breaks...)
)

// disturbed reports whether one of these faults took place in that time; hosts narrow it down, none are all.
func (c *checks) disturbed(by []scenario.Verb, from, to time.Duration, hosts ...*host) bool {
	return slices.ContainsFunc(c.disturbances, func(d disturbance) bool {
		if d.from > to || d.to < from || !slices.Contains(by, d.verb) {
			return false
		}
		return len(hosts) == 0 || d.hosts == nil || slices.ContainsFunc(hosts, func(h *host) bool { return slices.Contains(d.hosts, h) })
	})
}

// happened reports whether one of these faults ever took place.
func (c *checks) happened(by ...scenario.Verb) bool { return c.disturbed(by, never, -never) }

// checkLedger: what is used, reserved and draining never exceeds the capacity.
func (w *World) checkLedger(h *host) {
	stats := h.exec.machine.Ledger().Stats()
	if sum := stats.Used.Plus(stats.Reserved).Plus(stats.Draining); !stats.Capacity.Covers(sum) {
		w.broken("the ledger of %s has %v used, %v reserved and %v draining of %v", h.spec.Name, stats.Used, stats.Reserved, stats.Draining, stats.Capacity)
	}
}

// checkTrip: no request goes round in circles.
func (w *World) checkTrip(r *request) {
	if most := route.MaxVisits + route.MaxAsks + route.MaxAwaits + 1; r.steps > most {
		w.broken("request %d for %s took %d steps", r.number, r.model.spec.Name, r.steps)
	}
	if len(r.touched) > route.MaxVisits {
		w.broken("request %d for %s was passed on %d times", r.number, r.model.spec.Name, len(r.touched))
	}
}

// checkOutcome: a request ends as the faults allow and not otherwise.
func (w *World) checkOutcome(r *request) {
	if w.recorded {
		return
	}
	c, now, m := &w.checks, w.clock.now, r.model
	ok := false
	switch r.outcome {
	case route.Served:
		ok = true
	case route.Interrupted:
		ok = c.disturbed(breaks, r.arrived-2*silence, now, append(r.touched, r.entry)...)
	case route.DeadlineExceeded:
		ok = r.deadline-r.arrived < tight || c.disturbed(delays, r.arrived-aftermath, now) || m.troubled
	case route.NoHost:
		ok = c.disturbed(breaks, r.arrived-aftermath, now)
	case route.LoadFailed:
		ok = m.troubled || c.happened(scenario.RuntimeCrash, scenario.Crash)
	case route.CannotFit:
		ok = !slices.ContainsFunc(w.hosts, func(h *host) bool { return h.spec.Capacity >= m.spec.Bytes })
	case route.QueueFull:
		ok = m.spec.Concurrency > 0
	case route.UnknownModel:
		ok = m.changed != never
	}
	if r.probe && r.outcome != route.Served {
		// In the end only what lasts is an excuse.
		ok = ok && (r.outcome == route.LoadFailed || r.outcome == route.CannotFit)
	}
	if !ok {
		w.broken("request %d for %s at %s (arrived at %v, probe %v) ended as %v without a reason", r.number, m.spec.Name, r.entry.spec.Name, r.arrived, r.probe, r.outcome)
	}
}

// decided: an arbiter has one load of a model under way at a time.
func (w *World) decided(h *host, effect arbiter.Reserve) {
	who := pledger{h.index, h.life, effect.Model}
	target := w.host(effect.Host)
	for _, p := range w.checks.pledges[who] {
		switch {
		case p.silent:
		case !p.granted && (!h.now().Before(p.by) || p.host.life != p.life || !h.sees(p.host)):
			p.silent = true // It has waited for long enough, or in vain.
			w.checks.silences[p.decision]++
		case !p.granted:
			w.broken("%s has %s reserved on %s and on %s at once", h.spec.Name, effect.Model, p.host.spec.Name, effect.Host)
		case p.host != target && effect.Purpose == policyabi.PurposeMiss && p.purpose == policyabi.PurposeMiss && w.keeps(h, p, effect.Model):
			w.broken("%s has %s loaded on %s, and again on %s", h.spec.Name, effect.Model, p.host.spec.Name, effect.Host)
		}
	}
	w.checks.pledges[who] = append(w.checks.pledges[who], &pledge{
		id: effect.ID, host: target, life: target.life, purpose: effect.Purpose, decision: effect.Decision, at: w.clock.now,
		by: h.now().Add(arbiter.DefaultReserveTimeout),
	})
}

// sees reports whether another host is live to this one.
func (h *host) sees(other *host) bool {
	member := h.peers.view.Find(other.spec.Name)
	return member != nil && member.Live && member.Epoch == other.epoch
}

// keeps reports whether a host still has the model that it granted, and its arbiter can know.
func (w *World) keeps(h *host, p *pledge, model string) bool {
	t := p.host
	if h.now().After(p.by.Add(arbiter.GrantTTL-arbiter.DefaultReserveTimeout)) || !t.up || t.life != p.life || t.hung > 0 || t.mesh.drain.begun {
		return false
	}
	if at, excluded := w.checks.exclusions[exclusion{model, t.spec.Name}]; excluded && w.clock.now-at < aftermath {
		return false
	}
	if t != h && (!h.sees(t) || w.network.silent(h, t)) {
		return false
	}
	switch t.exec.stages[model] {
	case machine.Queued, machine.Estimating, machine.Pulling, machine.Loading, machine.Sizing, machine.Loaded:
		return true
	}
	return false
}

// settled takes in the answer to a reservation; no answer is not granted and silent.
func (w *World) settled(h *host, effect arbiter.Reserve, granted, silent bool) {
	who := pledger{h.index, h.life, effect.Model}
	w.checks.pledges[who] = slices.DeleteFunc(w.checks.pledges[who], func(p *pledge) bool {
		if p.id == effect.ID {
			if silent && !p.silent {
				w.checks.silences[effect.Decision]++
			}
			p.granted, p.at, p.by = granted && !p.silent, w.clock.now, h.now().Add(arbiter.DefaultReserveTimeout)
			return !p.granted
		}
		return w.clock.now-p.at > arbiter.GrantTTL && p.granted
	})
}

// granted: one decision begins one load.
func (w *World) granted(h *host, effect arbiter.Reserve, before machine.State) {
	if before != machine.Absent && before != machine.Failed || effect.Decision == 0 {
		return
	}
	w.checks.grants[effect.Decision]++
	if n, silent := w.checks.grants[effect.Decision], w.checks.silences[effect.Decision]; n > 1+silent {
		w.broken("decision %d has %s loaded on %d hosts, the last of them %s, and %d gave no answer", effect.Decision, effect.Model, n, h.spec.Name, silent)
	}
}

func (w *World) excluded(model string, hosts []string) {
	for _, host := range hosts {
		w.checks.exclusions[exclusion{model, host}] = w.clock.now
	}
}

// checkQuiet: when nothing has happened for a while, everybody knows the same, and there is nothing left over.
func (w *World) checkQuiet() {
	if len(w.failed) > 0 {
		return
	}
	// There is always something on its way somewhere, so it is looked at several times.
	for look := 1; ; look++ {
		wrong := w.differs()
		if wrong == "" {
			break
		}
		if look == looks {
			w.broken("%s", wrong)
			return
		}
		w.runUntil(w.clock.now + silence)
	}
	for _, h := range w.hosts {
		if h.up {
			w.checkRuntime(h)
		}
	}
	w.checkCopies()
}

const looks = 5

// differs names two hosts of which one believes of the other what is not so.
func (w *World) differs() string {
	for _, h := range w.hosts {
		for _, other := range w.hosts {
			if other == h || !h.up || !other.up {
				continue
			}
			if !h.conns[other.index].synced {
				return fmt.Sprintf("%s does not follow %s", h.spec.Name, other.spec.Name)
			}
			if !h.peers.table.Matches(other.spec.Name, other.epoch, other.peers.log.Stamp()) || !w.sameEntries(h, other) {
				return fmt.Sprintf("%s believes of %s what is not so", h.spec.Name, other.spec.Name)
			}
		}
	}
	return ""
}

// sameEntries compares what one host believes of another with what that one says, entry by entry.
func (w *World) sameEntries(h, other *host) bool {
	said, _ := other.peers.log.Snapshot()
	believed := 0
	for range h.peers.table.Entries(other.spec.Name) {
		believed++
	}
	if believed != len(said) {
		return false
	}
	for _, e := range said {
		found := false
		for _, c := range h.peers.table.Copies(e.Key, nil) {
			found = found || c.Host == other.spec.Name && c.State == e.State && c.Size == e.Size
		}
		if !found {
			return false
		}
	}
	return true
}

// checkRuntime: what a host believes its runtime to hold is what that holds.
func (w *World) checkRuntime(h *host) {
	if h.spec.Gateway || !h.runtime.up {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(h.runtime.holds)) {
		if state := h.exec.stages[name]; state == machine.Absent || state == machine.Queued || state == machine.Failed {
			w.broken("the runtime of %s holds %s, which the host has as %v", h.spec.Name, name, state)
		}
	}
	for name := range h.exec.served {
		// What it forgot shows when somebody asks for it.
		if h.runtime.holds[name] == nil && !w.checks.happened(scenario.Forget) {
			w.broken("%s has %s loaded, and its runtime does not hold it", h.spec.Name, name)
		}
	}
}

// checkCopies: no model keeps more copies than anybody needs. They are given up one at a time, each a while after it was
// found to be too many.
func (w *World) checkCopies() {
	for range surplusRounds {
		if w.surplus() == "" {
			return
		}
		w.runUntil(w.clock.now + w.scaleDownAfter())
	}
	if surplus := w.surplus(); surplus != "" && len(w.failed) == 0 {
		w.broken("after the quiet %s", surplus)
	}
}

// surplusRounds bounds how often what is too much is waited for.
const surplusRounds = 8

// surplus names a model that has more copies than anybody needs.
func (w *World) surplus() string {
	for i := range w.scenario.Models {
		m := w.model(w.scenario.Models[i].Name)
		copies := w.copies(m.spec.Name)
		if most := max(2, m.spec.Min); copies > most || m.spec.Max > 0 && copies > m.spec.Max {
			return fmt.Sprintf("%s has %d copies", m.spec.Name, copies)
		}
	}
	return ""
}

// checkEnd: nobody waits for anything.
func (w *World) checkEnd() {
	if len(w.failed) > 0 {
		return
	}
	for _, h := range w.hosts {
		if !h.up {
			continue
		}
		m := h.mesh
		if n := len(w.clients.waiting[h.index]); n > 0 {
			w.broken("%d requests wait at %s for ever", n, h.spec.Name)
		}
		if len(m.flights) > 0 || len(h.exec.waiters) > 0 || len(w.clients.working[h.index]) > 0 {
			w.broken("%s still counts requests that have ended: %d copies with flights, %d waiters, %d in work",
				h.spec.Name, len(m.flights), len(h.exec.waiters), len(w.clients.working[h.index]))
		}
		for question := range m.asks {
			if question.purpose == policyabi.PurposeMiss {
				w.broken("%s still asks where %s goes, for nobody", h.spec.Name, question.model)
			}
		}
		for _, awaited := range m.answers {
			if w.clock.now-awaited.since > askTimeout {
				w.broken("the arbiter on %s owes an answer since %v", h.spec.Name, awaited.since)
			}
		}
	}
}
