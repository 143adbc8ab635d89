package policytest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/conformance"
)

// maxModuleBytes is the engine's default limit of an uncompressed module.
const maxModuleBytes = 16 << 20

// Module is a policy module that is tried. Not safe for concurrent use.
type Module struct {
	engine *engine.Engine
	name   string
	wasm   []byte
	info   engine.Info
	// programs by configuration.
	programs map[string]*engine.Program
}

// Open inspects a module, gzipped or not. The error names the rule that it breaks.
func Open(e *engine.Engine, name string, content []byte) (*Module, error) {
	wasm, err := engine.Inflate(content, maxModuleBytes)
	if err != nil {
		return nil, fmt.Errorf("open policy %s: %w", name, err)
	}
	info, err := engine.Inspect(wasm)
	if err != nil {
		return nil, fmt.Errorf("open policy %s: %w", name, err)
	}
	return &Module{engine: e, name: name, wasm: wasm, info: info, programs: map[string]*engine.Program{}}, nil
}

// Name is what the module was opened as.
func (m *Module) Name() string { return m.name }

// Info says what the module exports and imports.
func (m *Module) Info() engine.Info { return m.info }

// Wasm is the module itself, not gzipped.
func (m *Module) Wasm() []byte { return m.wasm }

// Close frees what With compiled.
func (m *Module) Close() {
	for _, p := range m.programs {
		p.Release()
	}
	clear(m.programs)
}

// With answers the module as this configuration has it decide.
func (m *Module) With(ctx context.Context, config string) (*Configured, error) {
	program, ok := m.programs[config]
	if !ok {
		var err error
		program, err = m.engine.Compile(ctx, engine.Source{Name: m.name, Module: m.wasm, Config: []byte(config)})
		if err != nil {
			return nil, err
		}
		m.programs[config] = program
	}
	return &Configured{program: program}, nil
}

// Configured is a module at one configuration.
type Configured struct{ program *engine.Program }

// Program is what decides.
func (c *Configured) Program() *engine.Program { return c.program }

// Implements says whether the module answers a hook.
func (c *Configured) Implements(hook policyabi.Hook) bool { return c.program.Implements(hook) }

// Decide implements Decider.
func (c *Configured) Decide(_ policyabi.Hook, request Request) (answer []byte, fuel uint64, err error) {
	encoded := make([]byte, request.Size())
	request.Encode(encoded)
	return c.DecideBytes(encoded)
}

// DecideBytes has an encoded request decided. The answer is the caller's.
func (c *Configured) DecideBytes(request []byte) (answer []byte, fuel uint64, err error) {
	header, err := policyabi.ViewHeader(request)
	if err != nil {
		return nil, 0, err
	}
	hook := header.Hook()
	if !c.Implements(hook) {
		return nil, 0, nil
	}
	instance, err := c.acquire()
	if err != nil {
		return nil, 0, err
	}
	defer instance.Release()
	buffer, err := instance.Buffer(len(request))
	if err != nil {
		return nil, 0, err
	}
	copy(buffer, request)
	answer, fuel, err = instance.Call(hook, len(request), engine.Budget(hook, int(header.RowCount())))
	return slices.Clone(answer), fuel, err
}

// maxBusy bounds how often an instance is waited for, each time some 200 us: making one of a Go guest takes milliseconds.
const maxBusy = 50_000

// acquire waits while the instance that comes after one that trapped is made.
func (c *Configured) acquire() (instance *engine.Instance, err error) {
	for range maxBusy {
		if instance, err = c.program.Acquire(); !errors.Is(err, engine.ErrBusy) {
			break
		}
	}
	return instance, err
}

// Failures holds the module to what the mesh asks of it before it is used: for each hook that it has, requests without
// rows, with one and with a thousand, with extreme values, and as older and newer hosts write them.
func (c *Configured) Failures() []*conformance.Failure {
	var all []*conformance.Failure
	for _, hook := range []policyabi.Hook{policyabi.HookPlace, policyabi.HookEvict, policyabi.HookStatus} {
		if !c.Implements(hook) {
			continue
		}
		for _, request := range conformance.Requests(hook) {
			var failure *conformance.Failure
			if err := conformance.Check(hook, request, c.DecideBytes); errors.As(err, &failure) {
				all = append(all, failure)
			}
		}
	}
	return all
}

// Conform is Failures as one error, which names the module.
func (c *Configured) Conform() error {
	var errs []error
	for _, failure := range c.Failures() {
		errs = append(errs, fmt.Errorf("policy %s: %w", c.program.Name(), failure))
	}
	return errors.Join(errs...)
}
