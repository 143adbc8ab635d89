package arbiter

import (
	"fmt"
	"strings"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/placement"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// tally is why each of the hosts of a model does not take it.
type tally struct {
	hosts, leaving, small, failed, excluded, held int
	// asked are those that refused for another reason, and silent those that did not answer.
	asked, silent int
	// largest is the capacity of the largest host that stays.
	largest modelcache.Resources
	// last is the newest failure, and soonest when the first host tries again; zero for never.
	last    *syncv1.Failure
	soonest time.Time
	// words are those of the last host that refused, with its id.
	words string
}

// failures is on how many hosts the model has failed.
func (m *Machine) failures(d *decision, c census) int {
	n := 0
	for _, f := range c.failed {
		if !f.tooSmall() {
			n++
		}
	}
	for _, r := range d.refusals {
		if r.reason == peerv1.UnplacedReason_UNPLACED_REASON_FAILED && c.failureOn(r.host) == nil {
			n++
		}
	}
	return n
}

// unplaced says why no host takes the model.
func (m *Machine) unplaced(mo *model, d *decision, c census) Unplaced {
	t := m.tally(mo, d, c)
	waits := placement.Waits(d.purpose)
	failures := m.failures(d, c)
	able := t.hosts - t.leaving - t.small - t.failed - t.excluded - t.held
	switch {
	case t.hosts == 0:
		return Unplaced{
			Reason: peerv1.UnplacedReason_UNPLACED_REASON_NO_HOST, RetryAfter: retryMesh,
			Message: fmt.Sprintf("no live host has a runtime for model %s (%s)", mo.id, strings.Join(mo.runtimes(), ", ")),
		}
	case failures >= m.config.FailedHosts:
		return t.failedOn(m.step.now, failures, mo.id)
	case t.small > 0 && t.small == t.hosts-t.leaving:
		return t.cannotFit(mo.id, d.need)
	case failures > 0 && (waits || able <= 0):
		return t.failedOn(m.step.now, failures, mo.id)
	case !waits && able > 0:
		return Unplaced{
			Reason: peerv1.UnplacedReason_UNPLACED_REASON_NO_ROOM, RetryAfter: retryBackground,
			Message: fmt.Sprintf("no host has room for another copy of model %s (%v): %s", mo.id, d.need.memory, t),
		}
	}
	return Unplaced{
		Reason: peerv1.UnplacedReason_UNPLACED_REASON_NO_HOST, RetryAfter: retryMesh,
		Message: fmt.Sprintf("no host takes model %s now: %s", mo.id, t),
	}
}

// tally counts each host once, for what keeps it from the model in the end.
func (m *Machine) tally(mo *model, d *decision, c census) tally {
	var t tally
	rows, _ := m.rows(mo, d, c, false)
	model := placement.Model{Need: d.need.memory}
	for _, row := range rows {
		t.hosts++
		if !row.Draining && row.Capacity[modelcache.HostMemory] > t.largest[modelcache.HostMemory] {
			t.largest = row.Capacity
		}
		refused := d.refusalOf(row.ID)
		excluded := row.Excluded
		row.Excluded = false
		switch rule := placement.Unable(model, row); {
		case row.Draining:
			t.leaving++
		case c.failureOn(row.ID) != nil:
			t.failure(row.ID, c.failureOn(row.ID).why)
		case refused != nil:
			t.refused(refused)
		case rule == placement.RuleHasCopy:
			t.held++
		case rule == placement.RuleTooSmall:
			t.small++
		case excluded && !d.accepts(row.ID):
			t.excluded++
		}
	}
	return t
}

func (d *decision) refusalOf(host string) *refusal {
	for i := range d.refusals {
		if d.refusals[i].host == host {
			return &d.refusals[i]
		}
	}
	return nil
}

func (t *tally) refused(r *refusal) {
	t.words = r.host + ": " + r.message
	switch r.reason {
	case peerv1.UnplacedReason_UNPLACED_REASON_FAILED:
		t.failure(r.host, r.failure)
	case peerv1.UnplacedReason_UNPLACED_REASON_CANNOT_FIT:
		t.tooSmall(r.failure)
	case peerv1.UnplacedReason_UNPLACED_REASON_UNSPECIFIED:
		t.silent++
	default:
		t.asked++
	}
}

// tooSmall: a host itself has found out that the model never fits there.
func (t *tally) tooSmall(why *syncv1.Failure) {
	t.small++
	if t.last == nil {
		t.last = why
	}
}

// failure is that of the model on a host; nil when it is not known.
func (t *tally) failure(host string, why *syncv1.Failure) {
	if f := (failure{why: why}); f.tooSmall() {
		t.words = host + ": " + why.GetMessage()
		t.tooSmall(why)
		return
	}
	t.failed++
	if why != nil && (t.last == nil || why.GetTimeMs() > t.last.GetTimeMs()) {
		t.last = why
	}
	if retry := why.GetRetryAtMs(); retry > 0 && (t.soonest.IsZero() || retry < t.soonest.UnixMilli()) {
		t.soonest = time.UnixMilli(retry)
	}
}

// failedOn: it was tried often enough.
func (t *tally) failedOn(now time.Time, failures int, id string) Unplaced {
	u := Unplaced{Reason: peerv1.UnplacedReason_UNPLACED_REASON_FAILED, Failure: t.last}
	u.Message = fmt.Sprintf("model %s failed to load on %d of %d hosts", id, failures, t.hosts)
	if t.last != nil {
		u.Message += ": " + t.last.GetMessage()
	}
	if !t.soonest.IsZero() {
		u.RetryAfter = min(max(t.soonest.Sub(now), retryScale), retryFailed)
	}
	return u
}

// cannotFit: larger than any host.
func (t *tally) cannotFit(id string, need need) Unplaced {
	u := Unplaced{Reason: peerv1.UnplacedReason_UNPLACED_REASON_CANNOT_FIT, Failure: t.last}
	u.Message = fmt.Sprintf("model %s needs %v; the largest host has %v", id, need.memory, t.largest)
	if t.words != "" { // A host knows better than this one what it needs.
		u.Message = fmt.Sprintf("model %s fits on none of %d hosts, the largest of which has %v: %s", id, t.hosts-t.leaving, t.largest, t.words)
	}
	return u
}

// String lists what there is.
func (t tally) String() string {
	parts := []string{fmt.Sprintf("of %d hosts", t.hosts)}
	for _, p := range [...]struct {
		n    int
		what string
	}{
		{t.held, "have a copy"}, {t.leaving, "are leaving"}, {t.small, "are too small"}, {t.failed, "failed to load it"},
		{t.excluded, "are excluded"}, {t.asked, "refused"}, {t.silent, "did not answer"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if t.words != "" {
		parts = append(parts, "the last said "+t.words)
	}
	return strings.Join(parts, ", ")
}
