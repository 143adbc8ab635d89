package engine

import (
	"fmt"
	"math"
	"strconv"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

const (
	// bufferAlign is what the ABI promises guests and demands of mesh_buf.
	bufferAlign = 16
	// bufferStep is what sizes are rounded up to.
	bufferStep = 4 << 10
	// keptStack is how large a stack, in bytes, an instance may keep from one call to the next. wazero's begin with 10 KiB,
	// double up to 100 MB, and never shrink.
	keptStack = 1 << 20
	// highWater is the part of the memory limit, in quarters, beyond which an instance is not used again.
	highWater = 3
	// maxGrown is how often an instance may be seen with more memory than before.
	maxGrown = 2
)

// Buffer is size bytes in the guest's memory to encode a request into. They are valid until Call. An error is a *Trap, or
// says that the request is larger than allowed.
func (i *Instance) Buffer(size int) ([]byte, error) {
	if i.spoiled || !i.held {
		return nil, ErrDiscarded
	}
	if limit := i.program.engine.limits.RequestBytes; size < 0 || size > limit {
		return nil, fmt.Errorf("request of %d bytes: a policy gets at most %d", size, limit)
	}
	return i.buffer(size)
}

// buffer asks the guest only for more than it has given: an address stays good until the next mesh_buf. It asks for whole
// bufferSteps, so that requests that grow row by row do not have the guest move its buffer each time.
func (i *Instance) buffer(size int) ([]byte, error) {
	if uint32(size) > i.room || i.address == 0 {
		room := (max(uint32(size), 1) + bufferStep - 1) / bufferStep * bufferStep
		address, err := i.invoke(i.buf, uint64(room), i.program.engine.fuel.Buffer)
		if err != nil {
			return nil, err
		}
		if end := uint64(address) + uint64(room); address == 0 || address%bufferAlign != 0 || end > uint64(i.memory.Size()) {
			return nil, i.fail(&Trap{Kind: BadBuffer, Output: i.guest.output(), Message: fmt.Sprintf(
				"%s(%d) returned %#x: it must be a multiple of %d, not 0, and within the %d bytes of memory", policyabi.ExportBuffer, room, address, bufferAlign, i.memory.Size())})
		}
		i.address, i.room = address, room
	}
	view, ok := i.memory.Read(i.address, uint32(size))
	if !ok {
		return nil, i.fail(&Trap{Kind: BadBuffer, Message: "the buffer is no longer within the memory"})
	}
	return view, nil
}

// Call runs a hook over the request of length bytes that Buffer's bytes hold, with so much fuel at most. The guest's clock
// and randomness are those of the request's header.
//
// The answer is a view of the guest's memory, valid until Release; its length is within the request's response area, and
// nothing else has been checked. nil without an error: the policy abstained. used is the fuel that the hook took, also on
// errors; it is the same on every machine, and at most fuel. Errors: *Trap when the guest is to blame, anything else when the caller is.
func (i *Instance) Call(hook policyabi.Hook, length int, fuel uint64) (answer []byte, used uint64, err error) {
	if i.spoiled || !i.held {
		return nil, 0, ErrDiscarded
	}
	if int(hook) >= hookSlots || i.hooks[hook] == nil {
		return nil, 0, fmt.Errorf("policy %s does not implement %v", i.program.name, hook)
	}
	view, ok := i.memory.Read(i.address, uint32(length))
	if !ok || length < 0 || uint32(length) > i.room {
		return nil, 0, fmt.Errorf("call with a request of %d bytes, but the buffer has %d", length, i.room)
	}
	request, err := readRequest(view)
	if err != nil {
		return nil, 0, err
	}
	fuel = min(fuel, 1<<62) // The counter is signed.
	i.guest.begin(request.nowMs, request.seed)
	i.guest.rows = int64(request.rows)
	result, err := i.invoke(i.hooks[hook], uint64(length), fuel)
	i.guest.rows = noRows
	used = fuel - uint64(max(int64(i.fuel.Get()), 0))
	if err != nil {
		return nil, used, err
	}
	i.afterwards()
	switch n := int32(result); {
	case n == 0:
		return nil, used, nil
	case n < 0:
		return nil, used, i.fail(&Trap{Kind: ErrorCode, Message: returned(hook.Export(), n), Output: i.guest.output()})
	case uint32(n) > request.capacity:
		return nil, used, i.fail(&Trap{Kind: InvalidAnswer, Output: i.guest.output(),
			Message: fmt.Sprintf("%s returned a length of %d; the response area has %d bytes", hook.Export(), n, request.capacity)})
	}
	answer, ok = i.memory.Read(i.address+request.response, result)
	if !ok {
		return nil, used, i.fail(&Trap{Kind: InvalidAnswer, Message: "the response area is no longer within the memory"})
	}
	return answer, used, nil
}

// returned names the CallError that a policy returned, or its negative, where it has a name.
func returned(export string, n int32) string {
	code := max(int64(n), -int64(n))
	name := strconv.FormatInt(code, 10)
	if code <= math.MaxUint16 {
		name = policyabi.CallError(code).String()
	}
	return fmt.Sprintf("%s returned %d (%s)", export, n, name)
}

// Release gives the instance back, and the reference to its program. It is used again, unless it failed or its memory
// has grown. Views of its memory are invalid from now on. Releasing twice does nothing.
func (i *Instance) Release() {
	if !i.held {
		return
	}
	i.held = false
	failed := i.spoiled
	if failed || i.size > i.program.engine.limits.MemoryPages*PageSize/4*highWater || i.grown >= maxGrown {
		i.close()
		i.program.discard(failed)
		return
	}
	if i.deep() {
		if err := i.lookUp(); err != nil {
			i.close()
			i.program.discard(true)
			return
		}
	}
	i.program.giveBack(i)
}

// afterwards notes what a call has left behind. size is what the memory was before, as memory never shrinks.
func (i *Instance) afterwards() {
	if size := i.memory.Size(); size > i.size {
		i.size = size
		i.grown++
	}
}

// invoke calls into the guest. All calls come through here, so that none is without a budget, and no panic gets out.
func (i *Instance) invoke(f api.Function, parameter, fuel uint64) (result uint32, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = i.fail(&Trap{Kind: Trapped, Message: fmt.Sprintf("panic in the wasm runtime: %v", r)})
		}
	}()
	i.stack[0] = parameter
	i.guest.budget = fuel
	i.fuel.Set(fuel)
	if err := f.CallWithStack(i.guest, i.stack[:]); err != nil {
		return 0, i.fail(i.trap(err))
	}
	if i.guest.pending > 0 {
		i.guest.flush()
	}
	if int64(i.fuel.Get()) < 0 { // The last instructions before a return are charged, and not tested.
		return 0, i.fail(&Trap{Kind: OutOfFuel, Message: i.guest.outOfFuel(), Output: i.guest.output()})
	}
	return uint32(i.stack[0]), nil
}

// trap says what err of wazero was.
func (i *Instance) trap(err error) *Trap {
	kind := Trapped
	limit := i.program.engine.limits.MemoryPages * PageSize
	switch size := i.memory.Size(); {
	case int64(i.fuel.Get()) < 0:
		t := newTrap(OutOfFuel, err, i.guest.output())
		t.Message = i.guest.outOfFuel()
		return t
	case size >= limit/4*highWater:
		kind = Memory
	}
	return newTrap(kind, err, i.guest.output())
}

// fail marks the instance as not to be used again.
func (i *Instance) fail(t *Trap) *Trap {
	i.spoiled = true
	i.guest.flush()
	return t
}
