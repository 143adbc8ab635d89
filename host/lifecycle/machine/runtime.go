package machine

import (
	"maps"
	"slices"

	"github.com/wasmesh/wasmesh/host/modelcache"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// runtimeReady starts from an empty runtime. What was loaded in the former comes back in the background, and everything
// that requests wait for comes first.
func (m *Machine) runtimeReady(ev RuntimeReady) {
	if m.runtime.ready {
		m.runtimeLost() // Nobody noticed.
	}
	before := m.ledger.Capacity()
	capacity := smaller(m.config.Capacity, ev.Limits.Capacity)
	m.runtime.limits = ev.Limits
	m.runtime.ready = true
	m.ledger.Reset(capacity)
	m.background.lookAt = noTime
	if m.config.Mesh != nil {
		m.meshChanged(MeshChanged{All: true}) // While the runtime was down nothing was offered.
	}
	if capacity != before {
		m.retryFailed(syncv1.FailureReason_FAILURE_REASON_CANNOT_FIT)
	}
}

// smaller answers in each dimension the smaller of two capacities, of which zero states none.
func smaller(a, b modelcache.Resources) modelcache.Resources {
	for d := range a {
		if a[d] == 0 || b[d] != 0 && b[d] < a[d] {
			a[d] = b[d]
		}
	}
	return a
}

// runtimeLost accounts for a runtime that is gone. Nothing is reserved or used any more; what was loaded or being loaded
// is in line again, with its waiters. Pulls and estimates do not need the runtime and go on; a pull finds its reservation
// void when it ends.
func (m *Machine) runtimeLost() {
	m.runtime.ready, m.runtime.down, m.runtime.despaired = false, m.step.now, false
	m.ledger.Reset(m.ledger.Capacity())
	for _, id := range slices.Sorted(maps.Keys(m.copies)) {
		mo := m.copies[id]
		switch mo.state {
		case Pulling:
			if mo.load.artifact != nil {
				m.giveUp(mo)
				m.settle(mo)
			}
		case Loading:
			m.emit(CancelLoad{ID: id})
			m.interrupted(mo)
		case Sizing:
			m.giveUp(mo)
			m.settle(mo)
		case Loaded, Draining:
			m.gone(mo)
			m.settle(mo)
		}
	}
	m.sendAway()
}

// interrupted accounts for a runtime that died while it loaded this model. Once may be bad luck; the second time the
// model is the likely cause, and waits for its next turn as any failed model, lest it take the runtime down again and
// again.
func (m *Machine) interrupted(mo *model) {
	m.giveUp(mo)
	if mo.row == nil || mo.trouble.deaths == 0 {
		mo.trouble.deaths = 1
		m.settle(mo)
		return
	}
	m.fail(mo, &Fault{Cause: RuntimeUnavailable, Message: "the runtime stopped twice while it loaded this model; look at the runtime's log and its memory limit"})
}

// runtimeForgot has a copy unloaded that the runtime says it lost by itself. Its memory is free only when the unload is
// confirmed: a runtime that cannot be asked about one model (runtimes/spi) may hold it all the same.
func (m *Machine) runtimeForgot(ev RuntimeForgot) {
	if mo, ok := m.find(ev.ID, Loaded); ok {
		m.drain(mo)
	}
}
