package engine

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/engine/meter"
)

// callable are the hooks that a module may have.
var callable = [...]policyabi.Hook{policyabi.HookPlace, policyabi.HookEvict, policyabi.HookStatus}

// hookSlots is one more than the highest number of a hook that can be called.
const hookSlots = int(policyabi.HookStatus) + 1

// Instance is a guest with a memory of its own. It belongs to who acquired it, until Release, and is not safe for
// concurrent use.
type Instance struct {
	program *Program
	module  api.Module
	memory  api.Memory
	fuel    api.MutableGlobal
	buf     api.Function
	hooks   [hookSlots]api.Function
	guest   *guest
	// stacks are those that the callable functions run on, see stackOf.
	stacks [hookSlots + 1]reflect.Value
	// stack carries parameters in and results out.
	stack [1]uint64

	// address and room are of the guest's buffer: what mesh_buf last returned and was asked for.
	address, room uint32
	// size of the memory when it was last seen to have grown, and how often it has.
	size          uint32
	grown         int
	held, spoiled bool
	// abiMajor and abiMinor are what mesh_abi said.
	abiMajor, abiMinor uint16
}

// instantiate makes an instance that is ready to decide. An error is a *Refusal or a *Trap in one. It runs on goroutines
// of the engine, where a panic would end the process.
func (p *Program) instantiate() (instance *Instance, err error) {
	i := &Instance{program: p, guest: newGuest(p)}
	defer func() {
		if r := recover(); r != nil {
			instance, err = nil, p.refuse(RuleStart, fmt.Errorf("panic in the wasm runtime: %v", r))
		}
		if err != nil && i.module != nil {
			i.close()
		}
	}()
	module, err := p.runtime.InstantiateModule(i.guest, p.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return nil, p.refuse(RuleStart, p.startFailure(newTrap(Trapped, err, i.guest.output())))
	}
	i.module = module
	if err := i.prepare(); err != nil {
		return nil, err
	}
	return i, nil
}

// startFailure adds what cannot be told apart: there is no instance whose counter could be read.
func (p *Program) startFailure(t *Trap) error {
	if strings.HasSuffix(t.Message, "unreachable") {
		return fmt.Errorf("%w, which is also how it ends when the start section uses up its %d units of fuel", t, p.engine.fuel.Initialize)
	}
	return t
}

func (p *Program) refuse(rule string, err error) error { return &Refusal{p.name, rule, err.Error()} }

// prepare looks up what is called, and calls what comes before the first decision.
func (i *Instance) prepare() error {
	p := i.program
	i.memory = i.module.ExportedMemory(policyabi.ExportMemory)
	fuel, ok := i.module.ExportedGlobal(p.fuelExport).(api.MutableGlobal)
	if i.memory == nil || !ok {
		return p.refuse(RuleExport, errors.New("memory is not exported as a memory"))
	}
	i.fuel, i.guest.fuel = fuel, fuel
	if err := i.initialize(); err != nil {
		return err
	}
	if err := i.lookUp(); err != nil {
		return err
	}
	if err := i.checkABI(); err != nil {
		return err
	}
	if err := i.configure(); err != nil {
		return err
	}
	i.size, i.grown = i.memory.Size(), 0
	return nil
}

func (i *Instance) initialize() error {
	f, err := i.function(policyabi.ExportInitialize, nil, nil)
	if f == nil || err != nil {
		return err
	}
	if _, err := i.invoke(f, 0, i.program.engine.fuel.Initialize); err != nil {
		return i.program.refuse(RuleInitialize, fmt.Errorf("_initialize: %w", err))
	}
	return nil
}

// lookUp makes callable functions of the exports, anew each time. Each has a stack that grows and never shrinks.
func (i *Instance) lookUp() (err error) {
	oneIn, out := []api.ValueType{api.ValueTypeI32}, []api.ValueType{api.ValueTypeI32}
	if i.buf, err = i.function(policyabi.ExportBuffer, oneIn, out); err != nil {
		return err
	}
	i.stacks[hookSlots] = stackOf(i.buf)
	for _, hook := range callable {
		if i.hooks[hook], err = i.function(hook.Export(), oneIn, out); err != nil {
			return err
		}
		i.stacks[hook] = stackOf(i.hooks[hook])
	}
	return nil
}

// stackOf is the stack of a callable function of wazero, which offers no other way to learn how large it has become: fuel
// does not tell, as the frame of one call may be tens of kilobytes. The zero Value if wazero is made otherwise one day.
func stackOf(f api.Function) reflect.Value {
	v := reflect.ValueOf(f)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return reflect.Value{}
	}
	if stack := v.Elem().FieldByName("stack"); stack.Kind() == reflect.Slice {
		return stack
	}
	return reflect.Value{}
}

// deep says whether a stack has become too large to be kept.
func (i *Instance) deep() bool {
	for _, stack := range i.stacks {
		if stack.IsValid() && stack.Cap()*int(stack.Type().Elem().Size()) > keptStack {
			return true
		}
	}
	return false
}

// function is an export of that signature, or nil if there is none of the name.
func (i *Instance) function(name string, params, results []api.ValueType) (api.Function, error) {
	f := i.module.ExportedFunction(name)
	if f == nil {
		return nil, nil
	}
	d := f.Definition()
	if string(d.ParamTypes()) != string(params) || string(d.ResultTypes()) != string(results) {
		return nil, i.program.refuse(RuleExport, fmt.Errorf("%s is %v; it must be %v", name,
			signature(d.ParamTypes(), d.ResultTypes()), signature(params, results)))
	}
	return f, nil
}

func (i *Instance) checkABI() error {
	p := i.program
	f, err := i.function(policyabi.ExportABI, nil, []api.ValueType{api.ValueTypeI32})
	if err != nil {
		return err
	}
	if f == nil {
		return p.refuse(RuleExport, fmt.Errorf("%s is not exported as a function", policyabi.ExportABI))
	}
	version, err := i.invoke(f, 0, p.engine.fuel.Buffer)
	if err != nil {
		return p.refuse(RuleABI, fmt.Errorf("%s: %w", policyabi.ExportABI, err))
	}
	major, minor := uint16(version>>16), uint16(version)
	if major != policyabi.Major {
		return p.refuse(RuleABI, fmt.Errorf("it was built for version %d.%d of the policy ABI; this host speaks %d.%d: rebuild it with that SDK",
			major, minor, policyabi.Major, policyabi.Minor))
	}
	i.abiMajor, i.abiMinor = major, minor
	return nil
}

// configure hands the configuration over, even an empty one, so that a policy can rely on being asked.
func (i *Instance) configure() error {
	p := i.program
	f, err := i.function(policyabi.ExportConfigure, []api.ValueType{api.ValueTypeI32}, []api.ValueType{api.ValueTypeI32})
	if f == nil || err != nil {
		return err
	}
	buffer, err := i.buffer(len(p.config))
	if err != nil {
		return p.refuse(RuleConfigure, err)
	}
	copy(buffer, p.config)
	i.guest.listen()
	code, err := i.invoke(f, uint64(len(p.config)), p.engine.fuel.Configure)
	remark := i.guest.remark()
	if err != nil {
		if i.guest.output() != "" { // The trap quotes it.
			remark = ""
		}
		return p.refuse(RuleConfigure, fmt.Errorf("%s: %w%s", policyabi.ExportConfigure, err, remark))
	}
	if code != 0 {
		return p.refuse(RuleConfigure, fmt.Errorf("it does not accept its configuration: %s%s", returned(policyabi.ExportConfigure, int32(code)), remark))
	}
	return nil
}

// close ends the instance alone: the program and its other instances do not notice.
func (i *Instance) close() {
	i.spoiled = true
	_ = i.module.Close(context.Background())
}

func signature(params, results []api.ValueType) meter.FuncType {
	return meter.FuncType{Params: valueTypes(params), Results: valueTypes(results)}
}
