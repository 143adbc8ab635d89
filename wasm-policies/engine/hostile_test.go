package engine_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
)

// Modules that are accepted, and whose calls end early.
func TestHostileCalls(t *testing.T) {
	log := imported{"mesh_v1", "log", three, none}
	grow := code(constant(1), opMemoryGrow, 0)
	tests := []struct {
		name   string
		module module
		// fuel of the call; 0 means the budget of a decision over one row.
		fuel uint64
		want engine.TrapKind
		says string
	}{
		{"infinite loop", policy(forever, 0), 0, engine.OutOfFuel, "the budget of 2020000 units of fuel for 1 row is used up"},
		{"exponential call tree", policy(code(constant(60), call(3)), 0, function{params: one, results: one, body: code(
			opBlock, void, get(0), opBrIf, 0, constant(0), opReturn, opEnd,
			get(0), constant(1), opI32Sub, call(3), get(0), constant(1), opI32Sub, call(3), opI32Add)}), 0, engine.OutOfFuel, "the budget of 2020000 units of fuel for 1 row is used up"},
		{"bulk fill", withPages(policy(code(opLoop, void, constant(0), constant(1), constant(200*65536), opPrefix, 11, 0, opBr, 0, opEnd, opUnreachable), 0), 200),
			0, engine.OutOfFuel, "the budget of 2020000 units of fuel for 1 row is used up"},
		{"bulk copy", withPages(policy(code(opLoop, void, constant(0), constant(16), constant(199*65536), opPrefix, 10, 0, 0, opBr, 0, opEnd, opUnreachable), 0), 200),
			0, engine.OutOfFuel, "the budget of 2020000 units of fuel for 1 row is used up"},
		{"memory growth for ever", policy(code(opLoop, void, grow, opDrop, opBr, 0, opEnd, opUnreachable), 0), 0, engine.OutOfFuel, "the budget of 2020000 units of fuel for 1 row is used up"},
		{"memory growth, then out of memory", policy(code(
			opLoop, void, grow, constant(0), 0x4e, opBrIf, 0, opEnd, opUnreachable), 0), 1 << 32, engine.Memory, "unreachable"},
		{"stack overflow", policy(code(get(0), call(2)), 0), 1 << 40, engine.Trapped, "stack overflow"},
		{"recursion", policy(code(get(0), call(2)), 0), 0, engine.OutOfFuel, "the budget of 2020000 units of fuel for 1 row is used up"},
		{"log flood", policy(code(opLoop, void, constant(2), constant(0), constant(60000), call(0), opBr, 0, opEnd, opUnreachable), 0).importing(log),
			0, engine.OutOfFuel, "the budget of 2020000 units of fuel for 1 row is used up"},
		{"log of what is not memory", policy(code(constant(2), constant(-8), constant(100), call(0), constant(0)), 0).importing(log),
			0, engine.Trapped, "not within the memory"},
		{"unreachable", policy(code(opUnreachable), 0), 0, engine.Trapped, "unreachable"},
		{"out of bounds", policy(code(constant(-4), load(0)), 0), 0, engine.Trapped, "out of bounds"},
		{"exit", policy(code(constant(3), call(0), opUnreachable), 0).importing(imported{"wasi_snapshot_preview1", "proc_exit", one, none}),
			0, engine.Trapped, "exited with code 3"},
		{"randomness without end", withPages(policy(code(opLoop, void, constant(0), constant(200*65536), call(0), opDrop, opBr, 0, opEnd, opUnreachable), 0), 200).
			importing(imported{"wasi_snapshot_preview1", "random_get", []byte{i32, i32}, one}), 0, engine.OutOfFuel, "the budget of 2020000 units of fuel for 1 row is used up"},
		{"answer longer than its area", policy(constant(1<<20), 0), 0, engine.InvalidAnswer, "response area has 16 bytes"},
		{"answer of the largest length", policy(constant(1<<31-1), 0), 0, engine.InvalidAnswer, "2147483647"},
		{"negative answer", policy(constant(-2), 0), 0, engine.ErrorCode, "-2"},
		{"answer after moving the area", policy(code(constant(bufferAt), constant(65536), store(76), constant(65000)), 0), 0, engine.InvalidAnswer, "65000"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := newEngine(t, engine.Config{})
			p := compile(t, e, engine.Source{Module: test.module.wasm()})
			fuel := test.fuel
			if fuel == 0 {
				fuel = engine.Budget(policyabi.HookPlace, 1)
			}
			for range 2 { // The second time with a new instance.
				_, used, err := decide(t, p, placement(1), fuel)
				if trap := trapOf(t, err, test.want); !strings.Contains(trap.Message, test.says) {
					t.Errorf("trap says %q, want %q in it", trap.Message, test.says)
				}
				if used > fuel {
					t.Errorf("used %d of %d", used, fuel)
				}
			}
			if s := p.Stats(); s.Discarded != 2 {
				t.Errorf("%+v: want both instances discarded", s)
			}
		})
	}
}

// Who used up the fuel is told how much it was, and for how many rows.
func TestOutOfFuelTellsTheBudget(t *testing.T) {
	p := compile(t, newEngine(t, engine.Config{}), engine.Source{Module: policy(forever, 0).wasm()})
	for rows, want := range []string{
		"the budget of 2000000 units of fuel for 0 rows is used up",
		"the budget of 2020000 units of fuel for 1 row is used up",
		"the budget of 2040000 units of fuel for 2 rows is used up",
	} {
		_, _, err := decide(t, p, placement(rows), engine.Budget(policyabi.HookPlace, rows))
		if trap := trapOf(t, err, engine.OutOfFuel); trap.Message != want {
			t.Errorf("%d rows: trap says %q, want %q", rows, trap.Message, want)
		}
	}
}

// A reference to a function takes no memory of the host: one guest could take all of it, call by call.
func TestReferencesTakeNoMemory(t *testing.T) {
	const opRefFunc, rounds = 0xd2, 300_000
	refer := code(constant(rounds), set(1), opLoop, void, opRefFunc, 2, opDrop,
		get(1), constant(1), opI32Sub, opLocalTee, 1, opBrIf, 0, opEnd, constant(0))
	p := compile(t, newEngine(t, engine.Config{}), engine.Source{Module: policy(refer, 1).wasm()})
	before := heap()
	if _, _, err := decide(t, p, placement(1), 1<<30); err != nil {
		t.Fatal(err)
	}
	if kept := heap() - before; kept > 1<<20 {
		t.Errorf("%d bytes are kept of %d references", kept, rounds)
	}
	if s := p.Stats(); s.Made != 1 {
		t.Errorf("%+v: want the instance kept", s)
	}
}

func withPages(m module, pages int) module {
	m.pages = pages
	return m
}

// A log flood is dropped, counted, and does not reach the log.
func TestLogFloodIsDropped(t *testing.T) {
	flood := code(constant(10_000), set(1), opLoop, void, constant(2), constant(0), constant(100), call(0),
		get(1), constant(1), opI32Sub, opLocalTee, 1, opBrIf, 0, opEnd, constant(0))
	m := policy(flood, 1).importing(imported{"mesh_v1", "log", three, none})
	log := new(lines)
	p := compile(t, newEngine(t, engine.Config{Logger: log.logger()}), engine.Source{Module: m.wasm()})
	if _, _, err := decide(t, p, placement(1), 1<<30); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "\n"); n == 0 || n > 40 {
		t.Errorf("%d lines in the log, want a few", n)
	}
	if dropped := p.Stats().LinesDropped; dropped < 9_900 {
		t.Errorf("%d lines counted as dropped, want nearly 10,000", dropped)
	}
}

// mesh_buf that lies is found out before anything is written through it.
func TestHostileBuffers(t *testing.T) {
	buf := func(body ...any) function {
		return function{export: "mesh_buf", params: one, results: one, body: code(body...)}
	}
	tests := map[string]struct {
		buf  function
		kind engine.TrapKind
	}{
		"beyond memory":   {buf(constant(65536)), engine.BadBuffer},
		"end of memory":   {buf(constant(65536 - 4080)), engine.BadBuffer},
		"none":            {buf(constant(0)), engine.BadBuffer},
		"negative":        {buf(constant(-16)), engine.BadBuffer},
		"not aligned":     {buf(constant(1025)), engine.BadBuffer},
		"never returns":   {buf(forever), engine.OutOfFuel},
		"does not return": {buf(opUnreachable), engine.Trapped},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := compile(t, newEngine(t, engine.Config{}), engine.Source{Module: policy(abstain, 0, test.buf).wasm()})
			_, _, err := decide(t, p, placement(1), budget)
			trapOf(t, err, test.kind)
		})
	}
}

// mesh_buf may move its buffer when it is asked for more, and only then is it asked.
func TestBufferThatMoves(t *testing.T) {
	// Each call returns 1,024 more than the one before.
	m := policy(answering(16, 9), 0, function{export: "mesh_buf", params: one, results: one,
		body: code(opGlobalGet, 0, constant(1024), opI32Add, opGlobalSet, 0, opGlobalGet, 0)})
	m.globals = 1
	p := compile(t, newEngine(t, engine.Config{}), engine.Source{Module: m.wasm()})
	i := acquire(t, p)
	defer i.Release()
	for n, size := range []int{100, 100, 90, 5000} {
		b, err := i.Buffer(size)
		if err != nil {
			t.Fatal(err)
		}
		b[0] = byte(n + 1)
	}
	// The first three were the same place, the fourth another.
	if b, _ := i.Buffer(5000); b[0] != 4 {
		t.Errorf("buffer begins with %d, want 4", b[0])
	}
}

// Modules that never become programs.
func TestRefusals(t *testing.T) {
	good := policy(abstain, 0).wasm()
	noise := make([]byte, 1<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range noise {
		noise[n] = byte(rng.Uint32())
	}
	stub := func(export string, results []byte, body ...any) function {
		return function{export: export, params: none, results: results, body: code(body...)}
	}
	configure := func(body ...any) function {
		return function{export: "mesh_configure", params: one, results: one, body: code(body...)}
	}
	// These two have their configuration logged before they refuse it.
	logging := policy(abstain, 0, configure(constant(2), constant(bufferAt), get(0), call(0), constant(4))).
		importing(imported{"mesh_v1", "log", three, none})
	writing := policy(abstain, 0, configure(constant(0), constant(bufferAt), store(0), constant(0), get(0), store(4),
		constant(2), constant(0), constant(1), constant(100), call(0), opDrop, constant(4))).
		importing(imported{"wasi_snapshot_preview1", "fd_write", []byte{i32, i32, i32, i32}, one})
	loggingTraps := policy(abstain, 0, configure(constant(2), constant(bufferAt), get(0), call(0), opUnreachable)).
		importing(imported{"mesh_v1", "log", three, none})
	starting := policy(abstain, 0, function{params: none, results: none, body: forever})
	starting.start = 3
	counter := policy(code(opGlobalGet, 0, opDrop, constant(0)), 0)
	writeCounter := policy(code(opI64Const, 0x7f, opGlobalSet, 1, constant(0)), 0)
	writeCounter.globals = 1
	noMemory := policy(abstain, 0)
	noMemory.noMemory = true
	tests := []struct {
		name   string
		wasm   []byte
		config string
		rule   string
		says   string
	}{
		{"nothing", nil, "", "format", ""},
		{"random bytes", noise, "", "format", ""},
		{"random bytes after a header", append(good[:8:8], noise...), "", "", ""},
		{"truncated", good[:len(good)-5], "", "format", ""},
		{"reads the counter of fuel", counter.wasm(), "", "index", "global"},
		{"writes the counter of fuel", writeCounter.wasm(), "", "index", "global"},
		{"socket of WASI", policy(abstain, 0).importing(imported{"wasi_snapshot_preview1", "sock_open", three, one}).wasm(), "", "import", `"wasi_snapshot_preview1"."sock_open" is not offered by the host`},
		{"socket", policy(abstain, 0).importing(imported{"env", "socket", three, one}).wasm(), "", "import", "; a policy may import mesh_v1.log and the functions of WASI that the runtimes of Go and Rust start with: no files"},
		{"later import of ours", policy(abstain, 0).importing(imported{"mesh_v2", "log", three, none}).wasm(), "", "import", `"mesh_v2"."log"`},
		{"import with another signature", policy(abstain, 0).importing(imported{"mesh_v1", "log", one, none}).wasm(), "", "import", `"mesh_v1"."log" is imported as (i32) -> ()`},
		{"badly typed", policy(code(opI64Const, 1), 0).wasm(), "", "invalid", ""},
		{"start that loops", starting.wasm(), "", "start", "fuel"},
		{"_initialize that loops", policy(abstain, 0, stub("_initialize", none, forever)).wasm(), "", "initialize", "the budget of 50000000 units of fuel is used up"},
		{"_initialize that traps", policy(abstain, 0, stub("_initialize", none, opUnreachable)).wasm(), "", "initialize", "unreachable"},
		{"mesh_abi that loops", policy(abstain, 0, stub("mesh_abi", one, forever)).wasm(), "", "abi", "fuel"},
		{"later ABI", policy(abstain, 0, stub("mesh_abi", one, constant(2<<16|3))).wasm(), "", "abi", "version 2.3"},
		{"program", policy(abstain, 0, stub("_start", none)).wasm(), "", "export", "reactor"},
		{"no hook", policy(abstain, 0, function{export: "mesh_place", params: none, results: one, body: abstain}).wasm(), "", "export", "mesh_place is () -> (i32)"},
		{"no memory", noMemory.wasm(), "", "export", "memory"},
		{"more memory than allowed", withPages(policy(abstain, 0), 257).wasm(), "", "limit", "257"},
		{"configuration that nobody reads", good, "a=1", "configure", "mesh_configure"},
		{"configuration that is not accepted", policy(abstain, 0, configure(constant(4))).wasm(), "a=1", "configure", "mesh_configure returned 4 (Config)"},
		{"configuration refused for a reason of its own", policy(abstain, 0, configure(constant(1000))).wasm(), "a=1", "configure", "mesh_configure returned 1000 (1000)"},
		{"configuration refused with a large number", policy(abstain, 0, configure(constant(1<<16|4))).wasm(), "a=1", "configure", "mesh_configure returned 65540 (65540)"},
		{"configuration refused in the log", logging.wasm(), "unknown key: copeis\nthere are: copies", "configure", `returned 4 (Config); it wrote "unknown key: copeis", "there are: copies"`},
		{"configuration refused on standard error", writing.wasm(), "unknown key: copeis\nthere are: copies", "configure", `returned 4 (Config); it wrote "unknown key: copeis", "there are: copies"`},
		{"configuration that makes it trap after it logged", loggingTraps.wasm(), "copeis=1", "configure", `unreachable; it wrote "copeis=1"`},
		{"configuration that takes for ever", policy(abstain, 0, configure(forever)).wasm(), "", "configure", "mesh_configure: policy failed (fuel): the budget of 50000000 units of fuel is used up"},
	}
	e := newEngine(t, engine.Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := e.Compile(t.Context(), engine.Source{Name: "bad", Module: test.wasm, Config: []byte(test.config)})
			if err == nil {
				p.Release()
				t.Fatal("accepted")
			}
			var refusal *engine.Refusal
			if !errors.As(err, &refusal) || test.rule != "" && refusal.Rule != test.rule || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "bad") {
				t.Errorf("error %v\nwant a refusal of policy bad by rule %s that says %q", err, test.rule, test.says)
			}
		})
	}
	if n := e.Programs(); n != 0 {
		t.Errorf("%d programs are left", n)
	}
}

// What is told of a refused configuration is bounded, however much the guest logs.
func TestRemarkIsBounded(t *testing.T) {
	flood := code(constant(10_000), set(1), opLoop, void, constant(2), constant(bufferAt), get(0), call(0),
		get(1), constant(1), opI32Sub, opLocalTee, 1, opBrIf, 0, opEnd, constant(4))
	m := policy(abstain, 0, function{export: "mesh_configure", params: one, results: one, locals: 1, body: flood}).
		importing(imported{"mesh_v1", "log", three, none})
	_, err := newEngine(t, engine.Config{}).Compile(t.Context(), engine.Source{Name: "p", Module: m.wasm(), Config: []byte("copeis=1")})
	if err == nil {
		t.Fatal("accepted")
	}
	if n := strings.Count(err.Error(), `"copeis=1"`); n < 2 || len(err.Error()) > 1000 {
		t.Errorf("error of %d bytes quotes %d lines, want a few of 10,000:\n%v", len(err.Error()), n, err)
	}
}

func TestCompileHonoursContext(t *testing.T) {
	e := newEngine(t, engine.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Compile(ctx, engine.Source{Module: policy(abstain, 0).wasm()}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

func TestInflate(t *testing.T) {
	pack := func(b []byte) []byte {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return packed.Bytes()
	}
	wasm := policy(abstain, 0).wasm()
	bomb := pack(make([]byte, 8<<20))
	tests := []struct {
		name string
		data []byte
		want []byte
		rule string
	}{
		{"raw", wasm, wasm, ""},
		{"packed", pack(wasm), wasm, ""},
		{"bomb", bomb, nil, "limit"},
		{"raw and too large", make([]byte, 1<<20+1), nil, "limit"},
		{"cut off", pack(wasm)[:40], nil, "invalid"},
		{"gzip in name only", []byte{0x1f, 0x8b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, nil, "invalid"},
	}
	for _, test := range tests {
		got, err := engine.Inflate(test.data, 1<<20)
		var refusal *engine.Refusal
		if !bytes.Equal(got, test.want) || (test.rule == "") != (err == nil) || err != nil && (!errors.As(err, &refusal) || refusal.Rule != test.rule) {
			t.Errorf("%s: %d bytes, %v; want %d bytes, rule %q", test.name, len(got), err, len(test.want), test.rule)
		}
	}
}
