package engine_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
)

// budget is far more than an honest guest of these tests takes.
const budget = 1_000_000

func newEngine(t testing.TB, c engine.Config) *engine.Engine {
	t.Helper()
	e, err := engine.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// compile makes a program that the test releases at its end.
func compile(t testing.TB, e *engine.Engine, source engine.Source) *engine.Program {
	t.Helper()
	if source.Name == "" {
		source.Name = "p"
	}
	p, err := e.Compile(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Release)
	return p
}

func acquire(t testing.TB, p *engine.Program) *engine.Instance {
	t.Helper()
	for {
		i, err := p.Acquire()
		if err == nil {
			return i
		}
		if !errors.Is(err, engine.ErrBusy) { // An instance is on its way.
			t.Fatal(err)
		}
	}
}

// placement is a request with so many hosts.
func placement(rows int) *policyabi.PlaceRequest {
	r := &policyabi.PlaceRequest{Rows: make([]policyabi.PlaceRow, rows)}
	r.Header.NowMs, r.Header.Seed = 1_700_000_000_000, 42
	return r
}

// decide asks an instance of its own for a placement. The answer is a copy.
func decide(t testing.TB, p *engine.Program, request *policyabi.PlaceRequest, fuel uint64) (answer []byte, used uint64, err error) {
	t.Helper()
	i := acquire(t, p)
	defer i.Release()
	b, err := i.Buffer(request.Size())
	if err != nil {
		return nil, 0, err
	}
	request.Encode(b)
	answer, used, err = i.Call(policyabi.HookPlace, request.Size(), fuel)
	return bytes.Clone(answer), used, err
}

// trapOf is err as a Trap of the kind, or the end of the test.
func trapOf(t testing.TB, err error, kind engine.TrapKind) *engine.Trap {
	t.Helper()
	var trap *engine.Trap
	if !errors.As(err, &trap) {
		t.Fatalf("error %v is not a Trap", err)
	}
	if trap.Kind != kind {
		t.Fatalf("trap %v is %v, want %v", trap, trap.Kind, kind)
	}
	return trap
}

// lines is a logger that keeps what it is given.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// answering returns n bytes of answer and writes first into the first word of the response area.
func answering(n, first int32) []byte {
	responseOff := code(constant(bufferAt), load(72), constant(bufferAt), opI32Add)
	return code(responseOff, constant(first), store(0), constant(n))
}

func TestCallAnswers(t *testing.T) {
	for _, interpreter := range []bool{false, true} {
		e := newEngine(t, engine.Config{Interpreter: interpreter})
		p := compile(t, e, engine.Source{Module: policy(answering(16, 7), 0).wasm()})
		answer, used, err := decide(t, p, placement(3), budget)
		if err != nil || len(answer) != 16 || answer[0] != 7 {
			t.Errorf("interpreter %v: answer %v, %v; want 16 bytes that begin with 7", interpreter, answer, err)
		}
		// Nine instructions: two constants for an address, two loads and additions, a store, the result, the end.
		if _, again, _ := decide(t, p, placement(3), budget); used == 0 || used > 20 || used != again {
			t.Errorf("interpreter %v: used %d, then %d units of fuel", interpreter, used, again)
		}
	}
}

func TestAbstain(t *testing.T) {
	p := compile(t, newEngine(t, engine.Config{}), engine.Source{Module: policy(abstain, 0).wasm()})
	if answer, _, err := decide(t, p, placement(1), budget); answer != nil || err != nil {
		t.Errorf("answer %v, error %v; want neither", answer, err)
	}
}

func TestInfo(t *testing.T) {
	evict := function{export: "mesh_evict", params: one, results: one, body: abstain}
	m := policy(abstain, 0, evict)
	m.pages = 3
	source := engine.Source{Module: m.wasm()}
	p := compile(t, newEngine(t, engine.Config{}), source)
	got := p.Info()
	if got.ABIMajor != 1 || got.MemoryMin != 3 || got.Configurable || len(got.Hooks) != 2 || !p.Implements(policyabi.HookEvict) || p.Implements(policyabi.HookStatus) {
		t.Errorf("info %+v", got)
	}
	before, err := engine.Inspect(source.Module)
	if err != nil || before.Digest != got.Digest || before.ABIMajor != 0 {
		t.Errorf("inspect: %+v, %v", before, err)
	}
}

// The ID says what decides: it is of the module and its configuration.
func TestIDChangesWithConfig(t *testing.T) {
	configure := function{export: "mesh_configure", params: one, results: one, body: constant(0)}
	wasm := policy(abstain, 0, configure).wasm()
	e := newEngine(t, engine.Config{})
	a := compile(t, e, engine.Source{Module: wasm, Config: []byte("weight=1")})
	b := compile(t, e, engine.Source{Module: wasm, Config: []byte("weight=2")})
	c := compile(t, e, engine.Source{Name: "other", Module: wasm, Config: []byte("weight=2")})
	if a.ID() == b.ID() || b.ID() != c.ID() || len(a.ID()) != 12 {
		t.Errorf("IDs %s, %s, %s; the first alone should differ", a.ID(), b.ID(), c.ID())
	}
}

// Each instance gets the configuration, not only the first one.
func TestConfigureEachInstance(t *testing.T) {
	// mesh_configure keeps its first byte, mesh_place answers with so many times 16 bytes.
	configure := function{export: "mesh_configure", params: one, results: one, body: code(
		constant(bufferAt), load(0), opGlobalSet, 0, constant(0))}
	m := policy(code(opGlobalGet, 0), 0, configure)
	m.globals = 1
	p := compile(t, newEngine(t, engine.Config{Limits: engine.Limits{Instances: 3}}), engine.Source{Module: m.wasm(), Config: []byte{32, 0, 0, 0}})
	var all []*engine.Instance
	for range 3 {
		all = append(all, acquire(t, p))
	}
	for n, i := range all {
		request := placement(4)
		b, err := i.Buffer(request.Size())
		if err != nil {
			t.Fatal(err)
		}
		request.Encode(b)
		if answer, _, err := i.Call(policyabi.HookPlace, request.Size(), budget); err != nil || len(answer) != 32 {
			t.Errorf("instance %d: answer of %d bytes, %v; want the 32 of the configuration", n, len(answer), err)
		}
		i.Release()
	}
}

func TestCacheSurvivesEngineAndDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	wasm := policy(answering(16, 5), 0).wasm()
	answers := func(when string, log *lines) {
		t.Helper()
		p := compile(t, newEngine(t, engine.Config{CacheDir: dir, Logger: log.logger()}), engine.Source{Module: wasm})
		if answer, _, err := decide(t, p, placement(1), budget); err != nil || len(answer) != 16 || answer[0] != 5 {
			t.Errorf("%s: answer %v, %v", when, answer, err)
		}
	}
	log := new(lines)
	answers("first", log)
	files, _ := filepath.Glob(filepath.Join(dir, "*", "*", "*"))
	if len(files) != 1 {
		t.Fatalf("cached files %v, want one", files)
	}
	answers("from the cache", log)
	if log.String() != "" {
		t.Errorf("log of undamaged use: %s", log)
	}
	code, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	code[len(code)/2] ^= 0xff
	if err := os.WriteFile(files[0], code, 0o600); err != nil {
		t.Fatal(err)
	}
	answers("damaged", log)
	if !strings.Contains(log.String(), "without its cache") {
		t.Errorf("log of damaged cache: %q", log)
	}
	log = new(lines)
	answers("after damage", log)
	if log.String() != "" {
		t.Errorf("the damage has not been removed: %s", log)
	}
}

func TestCacheIsBounded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	e := newEngine(t, engine.Config{CacheDir: dir, Limits: engine.Limits{CachedModules: 3}})
	for n := range int32(6) {
		compile(t, e, engine.Source{Module: policy(answering(16, n), 0).wasm()})
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("%d cached modules, %v; want 3", len(entries), err)
	}
}

func TestCacheOfOthersIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.New(engine.Config{CacheDir: dir}); err == nil || !strings.Contains(err.Error(), "machine code") {
		t.Errorf("error %v; want that others could put machine code there", err)
	}
}

func TestRequestLargerThanAllowed(t *testing.T) {
	p := compile(t, newEngine(t, engine.Config{Limits: engine.Limits{RequestBytes: 1000}}), engine.Source{Module: policy(abstain, 0).wasm()})
	i := acquire(t, p)
	defer i.Release()
	if _, err := i.Buffer(1001); err == nil || !strings.Contains(err.Error(), "at most 1000") {
		t.Errorf("error %v; want the limit", err)
	}
	if _, err := i.Buffer(1000); err != nil {
		t.Errorf("a refused request spoiled the instance: %v", err)
	}
}
