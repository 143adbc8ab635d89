package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/tetratelabs/wazero/api"
)

// guest is what host functions know of the instance that calls them: they get it as the context of the call. It is of one
// instance, hence of one goroutine at a time.
type guest struct {
	program *Program
	// fuel is nil until the instance has been made, that is in a start section.
	fuel api.MutableGlobal

	// budget is the fuel of the present call, and rows those of the request that it decides, or noRows.
	budget uint64
	rows   int64

	// nowNs is the time that the guest sees: frozen, but for a microsecond each time it looks, and for what it "slept".
	nowNs int64
	// random is the state of the generator.
	random uint64

	// logged counts bytes and lines of the present call.
	logged, lines int
	// line is what the guest has written to standard output or error without ending the line: pending bytes.
	line    []byte
	pending int
	// said is the start of what it wrote to standard error in the present call.
	said []byte
	// noted is the start of what it logs by any way, in lines, while it is configured; nil otherwise.
	noted []byte
}

const (
	// maxLines that a guest logs in one call.
	maxLines = 32
	// maxSaid bytes of standard error go into a Trap, and of what is noted into a Refusal.
	maxSaid = 512
	// noRows is of calls that decide nothing.
	noRows = -1
	// startMs is what the clock shows before the first request: not 0, which the runtime of Go takes for a broken clock.
	startMs = 1
)

func newGuest(p *Program) *guest {
	g := &guest{program: p, budget: p.engine.fuel.Initialize, rows: noRows, line: make([]byte, p.engine.limits.LogLineBytes), said: make([]byte, 0, maxSaid)}
	g.begin(startMs, 0)
	return g
}

// begin makes everything that a guest can learn a function of the request.
func (g *guest) begin(nowMs int64, seed uint64) {
	g.nowNs = nowMs * int64(time.Millisecond)
	g.random = seed
	g.logged, g.lines, g.pending = 0, 0, 0
	g.said = g.said[:0]
}

// clock is the time in nanoseconds, a microsecond later each time.
func (g *guest) clock() int64 {
	g.nowNs += int64(time.Microsecond)
	return g.nowNs
}

// next is SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014): the sequence depends on
// the request's seed and on nothing else.
func (g *guest) next() uint64 {
	g.random += 0x9e3779b97f4a7c15
	z := g.random
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// outOfFuel says that the present call has used up its budget, and what the budget was.
func (g *guest) outOfFuel() string {
	switch g.rows {
	case noRows:
		return fmt.Sprintf("the budget of %d units of fuel is used up", g.budget)
	case 1:
		return fmt.Sprintf("the budget of %d units of fuel for 1 row is used up", g.budget)
	}
	return fmt.Sprintf("the budget of %d units of fuel for %d rows is used up", g.budget, g.rows)
}

// charge takes fuel for what a host function is about to do, on top of the constant price of the call. One unit pays for
// one byte. The guest is unwound when that is too expensive.
func (g *guest) charge(m api.Module, units uint64) {
	if g.fuel == nil {
		g.fuel, _ = m.ExportedGlobal(g.program.fuelExport).(api.MutableGlobal)
	}
	left := int64(g.fuel.Get()) - int64(units)
	g.fuel.Set(uint64(left))
	if left < 0 {
		panic(errors.New(g.outOfFuel()))
	}
}

// write takes what a guest writes to standard output or error, and logs whole lines of it.
func (g *guest) write(text []byte, toStderr bool) {
	if toStderr {
		g.said = append(g.said, text[:min(len(text), cap(g.said)-len(g.said))]...)
	}
	for _, c := range text {
		if c == '\n' {
			g.flush()
		} else if g.pending < len(g.line) {
			g.line[g.pending] = c
			g.pending++
		}
	}
}

// flush logs the line that has been begun.
func (g *guest) flush() {
	if g.pending > 0 {
		line := g.line[:g.pending]
		g.pending = 0
		g.log(slog.LevelInfo, line)
	}
}

// log passes one line on, unless the guest has logged too much.
func (g *guest) log(level slog.Level, line []byte) {
	p := g.program
	limits := &p.engine.limits
	line = line[:min(len(line), limits.LogLineBytes)]
	g.note(line)
	if g.logged+len(line) > limits.LogBytes || g.lines >= maxLines || !p.log.allow(len(line)) {
		p.log.dropped.Add(1)
		return
	}
	g.logged += len(line)
	g.lines++
	p.engine.logger.LogAttrs(context.Background(), level, strings.ToValidUTF8(string(line), "\uFFFD"),
		slog.String("policy", p.name), slog.String("generation", p.id))
}

// output is what the guest wrote to standard error in this call, its start.
func (g *guest) output() string {
	return strings.TrimSpace(strings.ToValidUTF8(string(g.said), "\uFFFD"))
}

// listen has what the guest logs noted from now on.
func (g *guest) listen() { g.noted = make([]byte, 0, maxSaid) }

// note keeps a line while there is room, if the guest is listened to: also one that will be dropped, so that what a person
// is told does not depend on what else was logged.
func (g *guest) note(line []byte) {
	if left := cap(g.noted) - len(g.noted); left > 0 {
		g.noted = append(g.noted, line[:min(len(line), left-1)]...)
		g.noted = append(g.noted, '\n')
	}
}

// remark ends listening, and is what was noted, for the end of a sentence.
func (g *guest) remark() string {
	var quoted []string
	for line := range strings.Lines(strings.ToValidUTF8(string(g.noted), "\uFFFD")) {
		if line = strings.TrimSpace(line); line != "" {
			quoted = append(quoted, strconv.Quote(line))
		}
	}
	g.noted = nil
	if len(quoted) == 0 {
		return ""
	}
	return "; it wrote " + strings.Join(quoted, ", ")
}

type guestKey struct{}

// guestOf is the guest that calls a host function.
func guestOf(ctx context.Context) *guest { return ctx.Value(guestKey{}).(*guest) }

// Value makes guest the context of its calls: a context made by context.WithValue would be one more allocation and step.
func (g *guest) Value(key any) any {
	if _, ok := key.(guestKey); ok {
		return g
	}
	return nil
}

// Deadline is none: fuel is what bounds a call.
func (g *guest) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done is never.
func (g *guest) Done() <-chan struct{} { return nil }

// Err is none.
func (g *guest) Err() error { return nil }
