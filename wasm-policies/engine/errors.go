package engine

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrBusy is Acquire's: all instances are in use, and none came free within 200 us. Decide without the policy.
	ErrBusy = errors.New("policy busy: no instance came free in time")
	// ErrClosed is the error of whoever uses what is closed: a program that its last reference has left, or an engine.
	ErrClosed = errors.New("policy closed")
	// ErrDiscarded is the error of an instance that is used after it failed or was released.
	ErrDiscarded = errors.New("instance failed or was released: acquire another")
)

// Rules that a refused module broke, besides those of package meter: format, limit, index, opcode, feature, import, export.
const (
	RuleLimit      = "limit"      // larger than allowed, also once inflated
	RuleInvalid    = "invalid"    // not a valid WebAssembly module
	RuleExport     = "export"     // lacks an export, or has it with another signature
	RuleStart      = "start"      // fails while it is instantiated
	RuleInitialize = "initialize" // fails in _initialize
	RuleABI        = "abi"        // was built for another major version, or fails to say which
	RuleConfigure  = "configure"  // does not accept its configuration
)

// Refusal is why a module does not become a Program. Rule is low in cardinality; Detail is for people and names the
// import, opcode, export or limit in question, and what the module logged while it refused its configuration.
type Refusal struct {
	Policy string
	Rule   string
	Detail string
}

func (r *Refusal) Error() string {
	if r.Policy == "" {
		return fmt.Sprintf("module refused (%s): %s", r.Rule, r.Detail)
	}
	return fmt.Sprintf("policy %s refused (%s): %s", r.Policy, r.Rule, r.Detail)
}

// TrapKind says how a call failed.
type TrapKind uint8

const (
	// Trapped: the guest stopped itself or did what it must not: unreachable, out of bounds, stack overflow, exit.
	Trapped TrapKind = iota + 1
	// OutOfFuel: the guest used up its budget.
	OutOfFuel
	// InvalidAnswer: the guest returned a length that its response area cannot have.
	InvalidAnswer
	// BadBuffer: mesh_buf returned no address, or one that cannot be.
	BadBuffer
	// Memory: the guest trapped when its memory was as large as it may get.
	Memory
	// ErrorCode: the hook returned a negative number: the policy itself says that it failed.
	ErrorCode
)

// String is a word for metrics.
func (k TrapKind) String() string {
	switch k {
	case Trapped:
		return "trap"
	case OutOfFuel:
		return "fuel"
	case InvalidAnswer:
		return "invalid_answer"
	case BadBuffer:
		return "bad_buffer"
	case Memory:
		return "memory"
	case ErrorCode:
		return "error_code"
	}
	return fmt.Sprintf("TrapKind(%d)", uint8(k))
}

// Trap is the failure of one call into a guest. Its instance is discarded.
type Trap struct {
	Kind TrapKind
	// Message is one line.
	Message string
	// Stack is the guest's, one function a line, innermost first, at most 1 KiB; empty if there is none.
	Stack string
	// Output is the start of what the guest wrote to standard error during the call: a Go guest's panic is there.
	Output string
}

func (t *Trap) Error() string {
	if t.Output == "" {
		return fmt.Sprintf("policy failed (%s): %s", t.Kind, t.Message)
	}
	line, _, _ := strings.Cut(t.Output, "\n")
	return fmt.Sprintf("policy failed (%s): %s; it wrote %q", t.Kind, t.Message, line)
}

const maxStackText = 1 << 10

// newTrap makes a trap of what wazero returned.
func newTrap(kind TrapKind, err error, output string) *Trap {
	text, stack, _ := strings.Cut(err.Error(), "\nwasm stack trace:\n")
	text = strings.TrimSuffix(strings.TrimPrefix(text, "wasm error: "), " (recovered by wazero)")
	text, _, _ = strings.Cut(text, "\n")
	lines := strings.Split(stack, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	stack = strings.Join(lines, "\n")
	if len(stack) > maxStackText {
		stack = strings.ToValidUTF8(stack[:maxStackText], "") + "..."
	}
	return &Trap{Kind: kind, Message: text, Stack: stack, Output: output}
}
