package placement

import (
	"fmt"
	"time"

	"github.com/wasmesh/wasmesh/host/arbiter"
	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	"github.com/wasmesh/wasmesh/host/placement"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// namespace of all models.
const namespace = "bench"

// decider is the arbiter on one host.
type decider struct {
	*arbiter.Machine
	mesh *mesh
	self string
	// view is nil when it has changed.
	view *members.View
	// timer is when the machine wants a Tick; zero for never.
	timer time.Time
	// err is what went wrong while the machine asked for a ranking.
	err error
}

func newDecider(m *mesh, self string) *decider {
	d := &decider{mesh: m, self: self}
	d.Machine = arbiter.New(arbiter.Config{
		Self: self, View: d.current, Copies: m.copiesOf, Place: d.rank, History: len(m.models),
	})
	return d
}

// current is the mesh as the host knows it.
func (d *decider) current() *members.View {
	if d.view == nil {
		all := make([]members.Member, len(d.mesh.nodes))
		for i, n := range d.mesh.nodes {
			all[i] = n.member
			all[i].Figures = n.known
		}
		d.view = members.NewView(d.self, all)
	}
	return d.view
}

func (d *decider) rank(now time.Time, model placement.Model, hosts []placement.Host) placement.Decision {
	candidates, err := d.mesh.config.Place(now, model, hosts)
	if err != nil {
		d.err = err
	}
	return placement.Decision{Choice: placement.Choice{Candidates: candidates}}
}

// copiesOf answers the copy of a model, if there is one: that much hosts tell each other at once.
func (m *mesh) copiesOf(key uint64, into []residency.Copy) []residency.Copy {
	index, known := m.keys[key]
	if !known || m.models[index].at == nowhere {
		return into
	}
	return append(into, residency.Copy{
		Host: m.nodes[m.models[index].at].member.ID, State: residency.Loaded, Size: m.trace.Models[index].Size,
	})
}

// catalog is the models of the trace as the controller would list them.
func (m *mesh) catalog() arbiter.CatalogChanged {
	var rows []*syncv1.Model
	for i := range m.trace.Models {
		of := &m.trace.Models[i]
		rows = append(rows, &syncv1.Model{
			Namespace: namespace, Id: of.Name, Runtimes: []string{runtimeName},
			SizeHint: &syncv1.Resources{HostMemoryBytes: uint64(of.Size)},
		})
	}
	return arbiter.CatalogChanged{Upserts: rows}
}

// feed has the arbiter on a host take in an event and does what it wants done, for the request of that index. It answers
// what became of an ask, if one was answered.
func (m *mesh) feed(request int, d *decider, event arbiter.Event) (result *arbiter.Result, err error) {
	events := []arbiter.Event{event}
	for len(events) > 0 {
		effects := d.Step(m.now, events[0])
		events = events[1:]
		if d.err != nil {
			return nil, d.err
		}
		for _, effect := range effects {
			switch effect := effect.(type) {
			case arbiter.Answer:
				result = &effect.Result
			case arbiter.SetTimer:
				d.timer = effect.At
			case arbiter.Reserve:
				reserved, err := m.reserve(request, effect)
				if err != nil {
					return nil, err
				}
				events = append(events, reserved)
			case arbiter.Release:
				return nil, fmt.Errorf("give up model %s on host %s: there is one copy at most", effect.Model, effect.Host)
			}
		}
	}
	return result, nil
}

// reserve is a host's answer to an arbiter.
func (m *mesh) reserve(request int, r arbiter.Reserve) (arbiter.Reserved, error) {
	index, to := m.keys[r.Key], m.find(r.Host)
	if to == nowhere || r.Purpose != policyabi.PurposeMiss {
		return arbiter.Reserved{}, fmt.Errorf("reserve model %s on host %q: nobody wants that", r.Model, r.Host)
	}
	n, of := m.nodes[to], &m.trace.Models[index]
	n.Pass(m.now)
	need := modelcache.Resources{modelcache.HostMemory: of.Size}
	answer := arbiter.Reserved{ID: r.ID, Granted: true, State: residency.Loaded}
	if r.ExpectsFree && !r.Final && !n.Ledger().Free().Covers(need) {
		m.result.Refused++
		answer.Granted, answer.State, answer.Reason = false, residency.Absent, peerv1.UnplacedReason_UNPLACED_REASON_NO_ROOM
	} else {
		if r.Usage != nil {
			n.Remember(index, r.Usage.Record)
		}
		if err := m.grant(request, index, to); err != nil {
			return answer, err
		}
	}
	figures := n.figures(m.now)
	answer.Figures = &figures
	return answer, nil
}

// remembered is what a host tells of a model that it has evicted.
func (m *mesh) remembered(n *node, model int32) arbiter.Remembered {
	of, record := &m.trace.Models[model], n.Record(model)
	return arbiter.Remembered{Host: n.member.ID, Usage: []arbiter.Usage{{
		Key: m.models[model].key, Record: record, LastUsed: record.At, LoadCost: of.Load, Size: of.Size, Evicted: true,
	}}}
}
