package machine

import (
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/host/route"
	"github.com/wasmesh/wasmesh/sdk/modelid"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func (m *Machine) catalogChanged(ev CatalogChanged) {
	m.background.switching = ev.Switching
	m.background.lookAt = noTime
	for _, row := range ev.Upserts {
		mo := m.models[row.GetId()]
		switch {
		case !slices.Contains(row.GetRuntimes(), m.config.Runtime):
			if mo != nil && mo.row != nil {
				m.remove(mo)
			}
		case mo == nil || mo.row == nil:
			m.create(row, mo)
		case !proto.Equal(mo.row, row):
			m.change(mo, row)
		}
	}
	for _, id := range ev.Removed {
		if mo := m.models[id]; mo != nil && mo.row != nil {
			m.remove(mo)
		}
	}
}

// create takes a row in. mo is what is left of a model of the same id that was removed, or nil.
func (m *Machine) create(row *syncv1.Model, mo *model) {
	if mo == nil {
		mo = &model{id: row.GetId(), key: uint64(modelid.KeyOf(row.GetNamespace(), row.GetId()))}
		if past, ok := m.former.Get(mo.id); ok {
			mo.rates, mo.cost = past.rates, past.cost
			m.former.Remove(mo.id)
		}
		m.models[mo.id] = mo
		m.count[Absent]++
	}
	mo.row = row
	mo.use = usage{last: m.step.now.Add(-createdAgo)}
	m.show(mo)
	if mo.state == Absent {
		m.offer(mo)
	}
	// Else something of the former is still under way; what comes after it is decided when it has ended.
}

// change takes a row in that differs in anything but the artifact, which a model never changes, or in where it is found.
func (m *Machine) change(mo *model, row *syncv1.Model) {
	if !proto.Equal(mo.row.GetStorage(), row.GetStorage()) || !proto.Equal(mo.row.GetSizeHint(), row.GetSizeHint()) {
		m.forgetSize(mo)
	}
	mo.row = row
	mo.trouble.deaths = 0
	m.background.reorder(mo)
	switch mo.state {
	case Loaded:
		m.ledger.SetKeep(mo.copyID, mo.keep())
		m.watchIdle(mo)
	case Absent:
		mo.use.retired = false
		m.offer(mo)
	case Failed:
		m.retryNow(mo)
	}
}

// remove takes a model out of the catalog: what waits is told, what is under way ends early, what is loaded drains.
func (m *Machine) remove(mo *model) {
	mo.row = nil
	mo.trouble = trouble{}
	m.refuse(mo, route.Errorf(route.UnknownModel, "model %q was removed while the request waited for it", mo.id))
	m.dequeue(mo)
	m.forgetSize(mo)
	switch mo.state {
	case Absent, Queued, Failed:
		m.setDue(mo, noTime)
		m.rest(mo)
	case Estimating, Pulling, Loading, Sizing:
		m.callOff(mo)
	case Loaded:
		m.drain(mo)
	}
	// Draining goes on as it is.
}

// settle decides what becomes of a model of which nothing is under way any more.
func (m *Machine) settle(mo *model) {
	switch {
	case mo.pausing(m.step.now):
		m.rest(mo)
		m.setDue(mo, mo.trouble.last.RetryAt)
	case mo.wanted():
		m.enqueue(mo)
	default:
		m.offer(mo)
	}
}

// rest leaves a model that is not here alone: on standby, failed, or gone from the catalog. Its files go.
func (m *Machine) rest(mo *model) {
	m.dequeue(mo)
	state := Absent
	if mo.trouble.last != nil {
		state = Failed
	}
	if mo.state != state {
		m.become(mo, state)
	}
	m.clean(mo)
	m.reap(mo)
}

// clean removes what the model has on disk. A removal under way covers everything that was there when it started.
func (m *Machine) clean(mo *model) {
	if mo.files.present && !mo.files.cleaning {
		mo.files = files{cleaning: true}
		m.emit(RemoveFiles{Model: mo.id})
	}
}

func (m *Machine) filesRemoved(ev FilesRemoved) {
	if mo := m.models[ev.Model]; mo != nil {
		mo.files.cleaning = false
		m.background.lookAt = noTime // It may have been passed over because of this.
		m.reap(mo)
	}
}

// reap forgets a model that the catalog does not list, once nothing of it is left.
func (m *Machine) reap(mo *model) {
	if mo.row == nil && mo.state == Absent && !mo.files.cleaning {
		m.setDue(mo, noTime)
		m.count[Absent]--
		delete(m.models, mo.id)
		if mo.rates.Used() {
			m.former.Add(mo.id, former{rates: mo.rates, cost: mo.cost})
		}
	}
}
