package placement

import (
	"fmt"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/arbiter"
	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/placement"
	"github.com/wasmesh/wasmesh/sdk/modelid"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/test/bench/eviction"
)

// runtimeName is the only ServingRuntime of the mesh.
const runtimeName = "runtime"

// Placer ranks the hosts for a model, best first. It names all that are able.
type Placer func(now time.Time, model placement.Model, hosts []placement.Host) ([]placement.Candidate, error)

// Config is a mesh.
type Config struct {
	Hosts int
	// Capacity of each, in bytes.
	Capacity int64
	// Rank is how hosts evict, Place where models go.
	Rank  eviction.Ranker
	Place Placer
	// Lag is how old what arbiters know of other hosts is.
	Lag Lag
}

// Result is what a replay cost: all hosts together.
type Result struct {
	eviction.Result
	// Refused are loads that the first host did not take, because its memory was not free any more.
	Refused int
}

// Replay serves the trace from a mesh with one copy of each model at most.
func Replay(t *eviction.Trace, config Config) (Result, error) {
	m, err := newMesh(t, config)
	if err != nil {
		return Result{}, err
	}
	for i, r := range t.Requests {
		if err := m.serve(i, r); err != nil {
			return Result{}, fmt.Errorf("replay request %d at %v: %w", i, r.At, err)
		}
	}
	for _, n := range m.nodes {
		m.result.add(n.Result())
	}
	return m.result, nil
}

func (r *Result) add(of eviction.Result) {
	r.Loading += of.Loading
	r.Loads += of.Loads
	r.Rankings += of.Rankings
	r.Evictions += of.Evictions
}

// mesh is all hosts and what their arbiters know.
type mesh struct {
	trace  *eviction.Trace
	config Config
	nodes  []*node
	models []model
	// keys answers the index of a model; deciders are the hosts' arbiters.
	keys     map[uint64]int32
	deciders []*decider
	asks     arbiter.AskID
	// moved are models that came or went, of which the arbiters have not been told.
	moved []uint64
	now   time.Time
	// next is when the next of the nodes has something to do by itself.
	next time.Time
	// news is on its way, in the order of arrival.
	news   []news
	result Result
}

// nowhere is the place of a model that no host holds.
const nowhere = -1

// model is one of the trace in the mesh.
type model struct {
	key uint64
	// at is the host that holds it, or nowhere.
	at int
	// arbiter is the host that decides about it.
	arbiter int
}

// news is what one host tells the others.
type news struct {
	at time.Time
	// figures of the host of that number; or else an event for one arbiter.
	from    int
	figures *members.Figures
	arbiter int
	event   arbiter.Event
}

func newMesh(t *eviction.Trace, config Config) (*mesh, error) {
	m := &mesh{trace: t, config: config, models: make([]model, len(t.Models)), keys: map[uint64]int32{}, now: eviction.TimeOf(eviction.Request{})}
	m.next = m.now
	all := make([]members.Member, config.Hosts)
	for i := range all {
		all[i] = members.Member{ID: fmt.Sprintf("host-%02d", i), Runtime: runtimeName, Started: m.now, Live: true, Arbiter: true, RuntimeReady: true}
	}
	view := members.NewView("", all)
	for i, member := range view.All() {
		m.nodes = append(m.nodes, newNode(eviction.NewHost(t, config.Capacity, config.Rank), member, i, m))
	}
	for i := range m.models {
		key := uint64(modelid.KeyOf(namespace, t.Models[i].Name))
		m.keys[key] = int32(i)
		m.models[i] = model{key: key, at: nowhere, arbiter: m.find(view.Arbiters(key, []string{runtimeName})[0].ID)}
	}
	for _, n := range m.nodes {
		m.deciders = append(m.deciders, newDecider(m, n.member.ID))
	}
	for _, d := range m.deciders {
		for _, event := range []arbiter.Event{m.catalog(), arbiter.ViewChanged{}} {
			if _, err := m.feed(0, d, event); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

// serve has the mesh answer one request.
func (m *mesh) serve(i int, r eviction.Request) error {
	if err := m.advance(eviction.TimeOf(r)); err != nil {
		return err
	}
	mo := &m.models[r.Model]
	if mo.at == nowhere {
		if err := m.load(i, r.Model); err != nil {
			return err
		}
	}
	if mo.at == nowhere {
		return nil // It fits nowhere, was loaded for this request and is gone.
	}
	n := m.nodes[mo.at]
	n.Pass(m.now)
	n.Use(r.Model)
	n.used = true
	return nil
}

// load has the arbiter of a model find a host for it, which then loads it.
func (m *mesh) load(request int, index int32) error {
	mo, of := &m.models[index], &m.trace.Models[index]
	if m.config.Lag == (Lag{}) {
		if err := m.lookNow(); err != nil {
			return err
		}
	}
	asker := m.nodes[request%len(m.nodes)].member.ID
	m.asks++
	result, err := m.feed(request, m.deciders[mo.arbiter], arbiter.PlaceAsked{
		Ask: m.asks, Model: of.Name, Purpose: policyabi.PurposeMiss, Asker: asker,
	})
	switch {
	case err != nil:
		return err
	case result == nil:
		return fmt.Errorf("place model %s: no answer", of.Name)
	case result.Placed != nil:
		return m.copiesChanged(request)
	case of.Size <= m.config.Capacity:
		return fmt.Errorf("place model %s: %s", of.Name, result.Unplaced.Message)
	}
	m.result.Loads++ // It is too large for any host, and counts as loaded for this request.
	m.result.Loading += of.Load
	return nil
}

// lookNow has all hosts know all others as they are.
func (m *mesh) lookNow() error {
	for _, n := range m.nodes {
		n.Pass(m.now)
		if err := n.survey(); err != nil {
			return err
		}
		n.known = n.figures(m.now)
	}
	m.changedView()
	return nil
}

func (m *mesh) changedView() {
	for _, d := range m.deciders {
		d.view = nil
	}
}

// grant has the host load the model.
func (m *mesh) grant(request int, index int32, to int) error {
	mo, n := &m.models[index], m.nodes[to]
	evicted, err := n.Load(request, index)
	if err != nil {
		return err
	}
	if n.Holds(index) {
		mo.at = to
	}
	m.moved = append(m.moved, mo.key)
	for _, gone := range evicted {
		m.models[gone].at = nowhere
		m.moved = append(m.moved, m.models[gone].key)
		m.tell(news{at: m.now.Add(m.config.Lag.Publish + m.config.Lag.Delay), arbiter: m.models[gone].arbiter, event: m.remembered(n, gone)})
	}
	n.loading = append(n.loading, m.now.Add(m.trace.Models[index].Load))
	n.changed = true
	if m.config.Lag.Publish == 0 && m.config.Lag != (Lag{}) {
		return n.publish(m)
	}
	return nil
}

// copiesChanged tells all arbiters where the models are that moved.
func (m *mesh) copiesChanged(request int) error {
	moved := m.moved
	m.moved = nil
	for _, d := range m.deciders {
		if _, err := m.feed(request, d, arbiter.CopiesChanged{Keys: moved}); err != nil {
			return err
		}
	}
	return nil
}

// find answers the number of the host, or nowhere.
func (m *mesh) find(id string) int {
	return slices.IndexFunc(m.nodes, func(n *node) bool { return n.member.ID == id })
}
