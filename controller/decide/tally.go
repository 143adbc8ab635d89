package decide

import (
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// tally counts the copies of one model on connected hosts.
type tally struct {
	loaded, loading, draining, failed int
	// refuted are those of failed that say nothing against the model: see Output.Refuted. None are while a copy is loaded,
	// since nothing depends on it.
	refuted int
	// worst is the newest failure that is not refuted; nil for none. A copy that has loaded since has none. host is where.
	worst *syncv1.Failure
	host  string
}

// count takes the copies as their hosts have them.
func (w *world) count(ns *namespace, id string) tally {
	var t tally
	for _, l := range ns.copies[id] {
		switch l.copy.GetState() {
		case syncv1.CopyState_COPY_STATE_LOADED:
			t.loaded++
		case syncv1.CopyState_COPY_STATE_QUEUED, syncv1.CopyState_COPY_STATE_LOADING:
			t.loading++
		case syncv1.CopyState_COPY_STATE_DRAINING:
			t.draining++
		case syncv1.CopyState_COPY_STATE_FAILED:
			t.failed++
		}
	}
	for _, l := range ns.copies[id] {
		f := failureOf(l.copy)
		if f == nil {
			continue
		}
		if w.refute(FailedCopy{ns.name, id, l.host, f.TimeMs}, t.loaded > 0) && t.loaded == 0 {
			if l.copy.GetState() == syncv1.CopyState_COPY_STATE_FAILED {
				t.refuted++
			}
			continue
		}
		t.note(f, l.host)
	}
	return t
}

// failureOf is what became of the last attempt to load the copy; nil when it did not fail. A failed copy without one
// counts as one that nothing is known about.
func failureOf(c *syncv1.Copy) *syncv1.Failure {
	if f := c.GetFailure(); f != nil || c.GetState() != syncv1.CopyState_COPY_STATE_FAILED {
		return f
	}
	return &syncv1.Failure{TimeMs: c.GetStateSinceMs()}
}

// refute remembers a failure that stands beside a loaded copy, or has stood beside one.
func (w *world) refute(f FailedCopy, loaded bool) bool {
	if loaded || w.refutedBefore[f] {
		w.refuted[f] = true
	}
	return w.refuted[f]
}

// note keeps the newest failure; of equal ones the first in the order of hosts.
func (t *tally) note(f *syncv1.Failure, host string) {
	if t.worst == nil || f.TimeMs > t.worst.TimeMs {
		t.worst, t.host = f, host
	}
}

// blamed is the number of failed copies that say something against the model.
func (t tally) blamed() int { return t.failed - t.refuted }

// total is the number that ModelMesh publishes: copies that are, are becoming, or failed to become. One that drains has
// left already.
func (t tally) total() int { return t.loaded + t.loading + t.failed }

// live says that some copy answers, or may soon.
func (t tally) live() bool { return t.loaded+t.loading+t.draining > 0 }

// blamesModel says that a copy failed, and not merely with its runtime.
func (t tally) blamesModel() bool {
	return t.blamed() > 0 && t.worst.GetReason() != syncv1.FailureReason_FAILURE_REASON_RUNTIME_UNHEALTHY
}

// reached says that version a is not before b; without either nothing has been reached.
func reached(a, b *syncv1.Version) bool {
	if a == nil || b == nil {
		return false
	}
	if a.Term != b.Term {
		return a.Term > b.Term
	}
	return a.Sequence >= b.Sequence
}

// consideredBy says that all of the hosts know of the model and have told all that they hold, so that the absence of a
// copy is their answer.
func consideredBy(hosts []*Host, since *syncv1.Version) bool {
	for _, h := range hosts {
		if !reached(h.Acked, since) || !h.Complete {
			return false
		}
	}
	return true
}
