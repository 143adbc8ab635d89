package engine_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/wasm-policies/engine"
)

// goGuest is testdata/goguest with an engine to compile it, quickly from the second time on.
type goGuest struct {
	wasm  []byte
	cache string
}

func (g goGuest) compile(t *testing.T, c engine.Config) *engine.Program {
	t.Helper()
	c.CacheDir = g.cache
	return compile(t, newEngine(t, c), engine.Source{Name: "guest", Module: g.wasm})
}

func TestGoGuest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "guest.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", file, "./testdata/goguest")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	wasm, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	g := goGuest{wasm: wasm, cache: filepath.Join(t.TempDir(), "cache")}
	t.Run("is deterministic", g.isDeterministic)
	t.Run("panics", g.panics)
	t.Run("exits", g.exits)
	t.Run("writes to the log", g.writes)
	t.Run("has no arguments or environment", g.hasNoArguments)
	t.Run("is kept though it makes garbage", g.isKept)
}

// ask the Go guest for what its source lists. Its answers need more fuel than those of tiny guests.
func ask(t *testing.T, p *engine.Program, what uint64, seed uint64) ([]byte, uint64, error) {
	t.Helper()
	request := placement(4)
	request.Header.DecisionID, request.Header.Seed = what, seed
	return decide(t, p, request, 20_000_000)
}

// What a guest learns of the world is a function of the request: so is its answer, and what it costs.
func (g goGuest) isDeterministic(t *testing.T) {
	first, fuel, err := ask(t, g.compile(t, engine.Config{}), 1, 42)
	if err != nil {
		t.Fatal(err)
	}
	second := g.compile(t, engine.Config{})
	again, fuelAgain, err := ask(t, second, 1, 42)
	if err != nil || !bytes.Equal(first, again) || fuel != fuelAgain {
		t.Errorf("another program of the module: %x with %d fuel (%v)\nwant %x with %d", again, fuelAgain, err, first, fuel)
	}
	other, _, err := ask(t, second, 1, 43)
	if err != nil || bytes.Equal(first[16:32], other[16:32]) {
		t.Errorf("seeds 42 and 43 gave the random bytes %x and %x (%v)", first[16:32], other[16:32], err)
	}
	before, after := time.Unix(0, int64(binary.LittleEndian.Uint64(first))), time.Unix(0, int64(binary.LittleEndian.Uint64(first[8:])))
	if asked := time.UnixMilli(placement(1).Header.NowMs); before.Sub(asked) <= 0 || before.Sub(asked) > time.Millisecond {
		t.Errorf("the clock shows %v, want the %v of the request", before, asked)
	}
	if slept := after.Sub(before); slept < time.Hour || slept > time.Hour+time.Second {
		t.Errorf("after an hour of sleep %v have passed", slept)
	}
}

// A panic of a guest reads well, and its instance is never used again.
func (g goGuest) panics(t *testing.T) {
	p := g.compile(t, engine.Config{Limits: engine.Limits{Instances: 1}})
	for range 2 {
		_, _, err := ask(t, p, 2, 0)
		trap := trapOf(t, err, engine.Trapped)
		if !strings.Contains(trap.Error(), "index out of range") || trap.Stack == "" {
			t.Errorf("trap %v, stack %q; want what the guest wrote of its panic", trap, trap.Stack)
		}
		if answer, _, err := ask(t, p, 0, 0); answer != nil || err != nil {
			t.Errorf("after a panic: answer %v, error %v; want a new instance that abstains", answer, err)
		}
	}
	if s := p.Stats(); s.Discarded != 2 || s.Made != 3 || s.Failed != 0 {
		t.Errorf("%+v: want 2 instances discarded, 3 made", s)
	}
}

func (g goGuest) exits(t *testing.T) {
	_, _, err := ask(t, g.compile(t, engine.Config{}), 3, 0)
	if trap := trapOf(t, err, engine.Trapped); !strings.Contains(trap.Message, "exited with code 5") {
		t.Errorf("trap %v", trap)
	}
}

func (g goGuest) writes(t *testing.T) {
	log := new(lines)
	p := g.compile(t, engine.Config{Logger: log.logger()})
	if _, _, err := ask(t, p, 4, 0); err != nil {
		t.Fatal(err)
	}
	if got := log.String(); !strings.Contains(got, `msg="hello from the guest" policy=guest generation=`+p.ID()) {
		t.Errorf("log %q, want the guest's line with its name", got)
	}
}

func (g goGuest) hasNoArguments(t *testing.T) {
	_, _, err := ask(t, g.compile(t, engine.Config{}), 6, 0)
	if trap := trapOf(t, err, engine.ErrorCode); !strings.Contains(trap.Message, "returned -1 ") {
		t.Errorf("trap %v, want -1: one more than there are", trap)
	}
}

// A guest that makes garbage collects it, and keeps being used: what grows at first is no reason to recycle for ever.
func (g goGuest) isKept(t *testing.T) {
	p := g.compile(t, engine.Config{Limits: engine.Limits{Instances: 1}})
	const calls = 2000
	for range calls {
		if _, _, err := ask(t, p, 5, 0); err != nil {
			t.Fatal(err)
		}
	}
	if s := p.Stats(); s.Discarded > 0 || s.Made > calls/100 {
		t.Errorf("%+v after %d calls: want no failure, and hardly any new instance", s, calls)
	}
}
