package eviction

import (
	"context"
	"fmt"

	rows "github.com/wasmesh/wasmesh/host/eviction"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
)

// decider answers an encoded request. The answer is good until the next.
type decider interface {
	// buffer is where a request of that size is to be encoded.
	buffer(size int) ([]byte, error)
	// decide answers what was encoded last.
	decide(size, rows int) ([]byte, error)
}

// ranker asks a policy through the ABI.
func ranker(d decider) Ranker {
	var request policyabi.EvictRequest
	var answers []policyabi.EvictAnswer
	decision := uint64(0)
	return func(_ int, r modelcache.Ranking) (_ []modelcache.Ranked, err error) {
		decision++
		rows.Ask(&request, r)
		request.Header.DecisionID, request.Header.Seed = decision, decision
		size := request.Size()
		buffer, err := d.buffer(size)
		if err != nil {
			return nil, err
		}
		request.Encode(buffer)
		answer, err := d.decide(size, len(request.Rows))
		if err != nil {
			return nil, err
		}
		answers, err = policyabi.AppendEvictAnswers(answers[:0], answer, len(request.Rows))
		if err != nil {
			return nil, err
		}
		return rows.Ranked(r, answers), nil
	}
}

// builtIn is a policy in Go, over the same bytes.
type builtIn struct {
	policy  builtin.Policy
	request []byte
}

func (b *builtIn) buffer(size int) ([]byte, error) {
	if cap(b.request) < size {
		b.request = make([]byte, 2*size)
	}
	b.request = b.request[:size]
	return b.request, nil
}

func (b *builtIn) decide(int, int) ([]byte, error) { return b.policy.Decide(b.request) }

// BuiltIn is the policy of that name in Go.
func BuiltIn(name string) (Ranker, error) {
	p, ok := builtin.ByName(policyabi.HookEvict, name)
	if !ok {
		return nil, fmt.Errorf("no built-in eviction policy %q", name)
	}
	return ranker(&builtIn{policy: p}), nil
}

// Module is a policy as WebAssembly, with the limits and the fuel that a host gives it.
type Module struct {
	engine   *engine.Engine
	program  *engine.Program
	instance *engine.Instance
}

// NewModule compiles one. The caller closes it.
func NewModule(ctx context.Context, name string, wasm []byte) (_ *Module, err error) {
	m := &Module{}
	defer func() {
		if err != nil {
			err = fmt.Errorf("compile policy %s: %w", name, err)
			m.Close()
		}
	}()
	if m.engine, err = engine.New(engine.Config{}); err != nil {
		return nil, err
	}
	if m.program, err = m.engine.Compile(ctx, engine.Source{Name: name, Module: wasm}); err != nil {
		return nil, err
	}
	m.instance, err = m.program.Acquire()
	return m, err
}

// Close gives everything back.
func (m *Module) Close() {
	if m.instance != nil {
		m.instance.Release()
	}
	if m.program != nil {
		m.program.Release()
	}
	if m.engine != nil {
		_ = m.engine.Close() // Nothing is in use, and the figures are there.
	}
}

// Ranker asks the module. A trap ends the replay: nobody decides in its place.
func (m *Module) Ranker() Ranker { return ranker(m) }

func (m *Module) buffer(size int) ([]byte, error) { return m.instance.Buffer(size) }

func (m *Module) decide(size, rows int) ([]byte, error) {
	answer, _, err := m.instance.Call(policyabi.HookEvict, size, engine.Budget(policyabi.HookEvict, rows))
	return answer, err
}
