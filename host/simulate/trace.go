package simulate

import (
	"fmt"
	"io"
	"time"
)

// trace is everything that happened, as one number, and as text if somebody wants to read it. Two runs with one number did
// the same.
type trace struct {
	hash uint64
	out  io.Writer
}

// newTrace starts from FNV's offset, so that nothing has happened yet is not 0.
func newTrace(out io.Writer) trace { return trace{hash: 0xcbf29ce484222325, out: out} }

// note records one thing: at which host ("" for none), what, about which model or host, and a number.
func (t *trace) note(now time.Duration, host, what, about string, number int64) {
	t.hash = fold(fold(fold(t.hash, host), what), about)
	t.hash = (t.hash ^ uint64(now)) * 0x100000001b3
	t.hash = (t.hash ^ uint64(number)) * 0x100000001b3
	if t.out == nil {
		return
	}
	line := fmt.Sprintf("%12.6f %-4s %s", now.Seconds(), host, what)
	if about != "" {
		line += " " + about
	}
	if number != 0 {
		line += fmt.Sprintf(" %d", number)
	}
	fmt.Fprintln(t.out, line)
}
