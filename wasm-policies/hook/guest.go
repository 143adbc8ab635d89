package hook

import (
	"errors"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
)

// program is what a hook needs of *engine.Program.
type program interface {
	acquire() (instance, error)
	Budget(hook policyabi.Hook, rows int) uint64
}

// instance is what a hook needs of *engine.Instance.
type instance interface {
	Buffer(size int) ([]byte, error)
	Call(hook policyabi.Hook, length int, fuel uint64) (answer []byte, used uint64, err error)
	Release()
}

type compiled struct{ *engine.Program }

func (c compiled) acquire() (instance, error) {
	i, err := c.Acquire()
	if err != nil {
		return nil, err // A nil *Instance in an interface would not be nil.
	}
	return i, nil
}

// call is one call of a guest: what it is asked, and how to look at the answer before its memory is given back.
type call struct {
	hook    policyabi.Hook
	request []byte
	rows    int
	// accept checks the answer and copies what is to be kept of it.
	accept func(answer []byte) error
}

// reply says how a call ended.
type reply struct {
	outcome syncv1.DecisionOutcome
	fuel    uint64
	err     error
}

// ask has a program answer. Only a program that has been closed is an error that is not in the reply.
func ask(p program, c call) (reply, error) {
	i, err := p.acquire()
	if errors.Is(err, engine.ErrClosed) {
		return reply{}, err
	}
	if err != nil {
		return reply{outcome: syncv1.DecisionOutcome_DECISION_OUTCOME_BUSY, err: err}, nil
	}
	defer i.Release()
	buffer, err := i.Buffer(len(c.request))
	if err != nil {
		return reply{outcome: outcomeOf(err), err: err}, nil
	}
	copy(buffer, c.request)
	answer, used, err := i.Call(c.hook, len(c.request), p.Budget(c.hook, c.rows))
	switch {
	case err != nil:
		return reply{outcome: outcomeOf(err), fuel: used, err: err}, nil
	case len(answer) == 0:
		return reply{outcome: syncv1.DecisionOutcome_DECISION_OUTCOME_ABSTAINED, fuel: used}, nil
	}
	if err := c.accept(answer); err != nil {
		return reply{outcome: syncv1.DecisionOutcome_DECISION_OUTCOME_INVALID, fuel: used, err: err}, nil
	}
	return reply{outcome: syncv1.DecisionOutcome_DECISION_OUTCOME_ANSWERED, fuel: used}, nil
}

// outcomeOf says what a failed call was.
func outcomeOf(err error) syncv1.DecisionOutcome {
	var trap *engine.Trap
	if errors.As(err, &trap) {
		switch trap.Kind {
		case engine.OutOfFuel:
			return syncv1.DecisionOutcome_DECISION_OUTCOME_OUT_OF_FUEL
		case engine.InvalidAnswer, engine.BadBuffer:
			return syncv1.DecisionOutcome_DECISION_OUTCOME_INVALID
		}
	}
	return syncv1.DecisionOutcome_DECISION_OUTCOME_TRAPPED
}
