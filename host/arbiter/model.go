package arbiter

import (
	"container/heap"
	"slices"
	"time"

	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// model is a model of the catalog, and what this arbiter has to do with it: nothing, for most.
type model struct {
	key uint64
	id  string
	row *syncv1.Model
	// gone: the catalog does not list it any more.
	gone bool

	asks     []ask     // Those that wait, by arrival.
	decision *decision // The one that is under way.
	release  *release  // The copy that is being given up.
	// grants are hosts that have taken the model on, until residency says so.
	grants  []grant
	uses    []use // By host.
	surplus surplus
	retries [wants]retry
	// bare is since when there is no copy, though the owner wants some.
	bare time.Time

	checking bool      // It is in Machine.checks.
	backlog  bool      // It is in Machine.backlog.
	due      time.Time // When to look at it again; zero for not by itself.
	place    int       // Index in Machine.due, plus 1.
}

func (mo *model) runtimes() []string { return mo.row.GetRuntimes() }

// limit is how many copies the owner allows.
func (mo *model) limit() int {
	const unbounded = 1 << 30
	if most := mo.row.GetKnobs().GetMaxCopies(); most > 0 && most < unbounded {
		return int(most)
	}
	return unbounded
}

// wake has the model looked at again at this time at the latest.
func (mo *model) wake(at time.Time) {
	if mo.due.IsZero() || at.Before(mo.due) {
		mo.due = at
	}
}

// settle looks at everything about a model: asks are answered or decided, then copies that are missing or too many.
func (m *Machine) settle(mo *model) {
	mo.due = time.Time{}
	if mo.gone {
		m.due.put(mo)
		return
	}
	m.expire(mo)
	m.serve(mo)
	m.balance(mo)
	if d := mo.decision; d != nil {
		mo.wake(d.deadline)
	}
	if !mo.due.IsZero() && !mo.due.After(m.step.now) {
		mo.due = m.step.now.Add(time.Millisecond) // Each Step looks at a model once for what is due.
	}
	m.due.put(mo)
}

// expire ends what has taken too long.
func (m *Machine) expire(mo *model) {
	now := m.step.now
	if d := mo.decision; d != nil && !d.deadline.After(now) {
		m.unanswered(mo)
	}
	if r := mo.release; r != nil && !r.deadline.After(now) {
		m.endRelease(mo)
	}
	mo.uses = slices.DeleteFunc(mo.uses, func(u use) bool { return now.Sub(u.at) >= useTTL })
}

// forget takes leave of a model that the catalog does not list any more.
func (m *Machine) forget(mo *model) {
	delete(m.models, mo.key)
	delete(m.ids, mo.id)
	delete(m.watched, mo)
	mo.gone = true
	if d := mo.decision; d != nil {
		m.drop(mo)
	}
	if r := mo.release; r != nil {
		delete(m.releases, r.id)
	}
	if len(mo.asks) > 0 {
		m.answer(mo, func(ask) bool { return true }, Result{Unplaced: &Unplaced{
			Reason: peerv1.UnplacedReason_UNPLACED_REASON_STALE, Message: "model " + mo.id + " has been removed",
		}})
	}
	mo.due = time.Time{}
	m.due.put(mo)
}

// dueHeap are models by the time of their next look, then by key.
type dueHeap []*model

func (h dueHeap) first() *model {
	if len(h) == 0 {
		return nil
	}
	return h[0]
}

// put moves the model to where it belongs, or out if nothing is due.
func (h *dueHeap) put(mo *model) {
	switch {
	case mo.due.IsZero() && mo.place > 0:
		heap.Remove((*dueOps)(h), mo.place-1)
	case mo.due.IsZero():
	case mo.place > 0:
		heap.Fix((*dueOps)(h), mo.place-1)
	default:
		heap.Push((*dueOps)(h), mo)
	}
}

// dueOps is what container/heap asks for, kept away from the other methods.
type dueOps []*model

func (h dueOps) Len() int { return len(h) }

func (h dueOps) Less(i, j int) bool {
	if !h[i].due.Equal(h[j].due) {
		return h[i].due.Before(h[j].due)
	}
	return h[i].key < h[j].key
}

func (h dueOps) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i+1, j+1
}

func (h *dueOps) Push(x any) {
	mo, _ := x.(*model)
	*h = append(*h, mo)
	mo.place = len(*h)
}

func (h *dueOps) Pop() any {
	last := len(*h) - 1
	mo := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	mo.place = 0
	return mo
}
