package launcher

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
)

func TestUpRestartsWhatDiesAndStopsInOrder(t *testing.T) {
	s := newStage(t)
	s.write(fakePlan("fake-1.x"))
	up := s.up()
	started := s.awaitAll("started", "wasmesh-controller", "runtime-fake-1.x-0", "fake-1.x-0")
	for name, m := range started {
		if r := s.record(name); r.PID != m.PID {
			t.Errorf("the record of %s has process %d, want %d", name, r.PID, m.PID)
		}
	}
	host := s.record("fake-1.x-0")
	if host.Ports["grpc"] != s.config.GRPCAddress || host.Ports["rest"] != s.config.RESTAddress {
		t.Errorf("the first host is on %v, want the given addresses", host.Ports)
	}

	for _, name := range []string{"fake-1.x-0", "runtime-fake-1.x-0", "wasmesh-controller"} {
		s.kill(started[name])
		again := s.await("started", name)
		if again.PID == started[name].PID || !slices.Equal(again.Args, started[name].Args) {
			t.Errorf("%s came back as %+v, want another process with the arguments of %+v", name, again, started[name])
		}
		started[name] = again
	}

	// The plan is followed across the restart of the controller.
	second := fakePlan("second")
	s.change(started["wasmesh-controller"], fakePlan("fake-1.x"), second)
	s.awaitAll("started", "runtime-second-0", "second-0")
	if got, want := s.record("second-0").Ports["grpc"], mustOffset(t, s.config.GRPCAddress, 1); got != want {
		t.Errorf("the second host's gRPC address is %s, want %s", got, want)
	}

	up.cancel()
	if err := up.end(); err != nil {
		t.Errorf("Up = %v after an interrupt", err)
	}
	all := []string{"fake-1.x-0", "second-0", "runtime-fake-1.x-0", "runtime-second-0", "wasmesh-controller"}
	s.awaitAll("gone", all...)
	for i, earlier := range all {
		for _, later := range all[i+1:] {
			if rank(earlier) < rank(later) && s.position("ending", earlier) > s.position("ending", later) {
				t.Errorf("%s was told to end after %s", earlier, later)
			}
		}
	}
	if left := s.records(); len(left) > 0 {
		t.Errorf("records left: %v", left)
	}
}

// rank is the turn in which a process is stopped.
func rank(name string) int {
	switch {
	case name == controllerProgram:
		return 3
	case strings.HasPrefix(name, "runtime-"):
		return 2
	}
	return 1
}

func (s *stage) records() []string {
	s.t.Helper()
	found, err := filepath.Glob(filepath.Join(s.config.DataDir, "run", "*.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

// record of a process that has started. The launcher writes it just after the start, so it may be about to appear.
func (s *stage) record(name string) Record {
	s.t.Helper()
	path := filepath.Join(s.config.DataDir, "run", name+".json")
	content, err := os.ReadFile(path)
	for deadline := time.Now().Add(patience); errors.Is(err, fs.ErrNotExist) && time.Now().Before(deadline); {
		runtime.Gosched()
		content, err = os.ReadFile(path)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	var r Record
	if err := json.Unmarshal(content, &r); err != nil {
		s.t.Fatal(err)
	}
	return r
}

func mustOffset(t *testing.T, address string, k int) string {
	t.Helper()
	moved, err := offset(address, k)
	if err != nil {
		t.Fatal(err)
	}
	return moved
}

// Requests end before the runtimes that answer them, and those before the controller: nobody is told to end while one
// before it is there still. Within a turn all are told at once.
func TestStoppingWaitsForEachGroup(t *testing.T) {
	s := newStage(t)
	s.write(fakePlan("a"), fakePlan("b"))
	up := s.up()
	s.awaitAll("started", "runtime-a-0", "a-0", "runtime-b-0", "b-0")
	turns := [][]string{{"a-0", "b-0"}, {"runtime-a-0", "runtime-b-0"}}
	release := make(map[string]func())
	for _, turn := range turns {
		for _, name := range turn {
			release[name] = s.hold(name)
		}
	}
	up.cancel()
	for _, turn := range turns {
		s.awaitAll("ending", turn...)
		for _, m := range s.rest() {
			if m.Event == "ending" && rank(m.Name) > rank(turn[0]) {
				t.Errorf("%s was told to end beside %v", m.Name, turn)
			}
		}
		for _, name := range turn {
			release[name]()
		}
	}
	if err := up.end(); err != nil {
		t.Errorf("Up = %v", err)
	}
}

func TestAKilledLauncherLeavesNothing(t *testing.T) {
	s := newStage(t)
	s.write(fakePlan("fake-1.x"))
	config, err := json.Marshal(s.config)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(filepath.Join(s.config.BinDir, launcherProgram))
	command.Env = append(os.Environ(), upEnv+"="+string(config))
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	names := []string{"wasmesh-controller", "runtime-fake-1.x-0", "fake-1.x-0"}
	s.awaitAll("started", names...)
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait() // killed
	s.awaitAll("gone", names...)

	// The next one finds the data directory free, and removes the records.
	if len(s.records()) == 0 {
		t.Error("no records are left that the next launcher could remove")
	}
	up := s.up()
	again := s.awaitAll("started", names...)
	for name, m := range again {
		if r := s.record(name); r.PID != m.PID {
			t.Errorf("the record of %s is of process %d, want %d", name, r.PID, m.PID)
		}
	}
	up.cancel()
	if err := up.end(); err != nil {
		t.Errorf("Up = %v", err)
	}
}

func TestAChangedPlanReplacesOneMember(t *testing.T) {
	s := newStage(t)
	s.write(fakePlan("a"), fakePlan("idle"), fakePlan("more"))
	s.up()
	first := s.awaitAll("started", "wasmesh-controller",
		"runtime-a-0", "a-0", "runtime-idle-0", "idle-0", "runtime-more-0", "more-0")

	// A runtime that nobody needs any more stays, and how many hosts there are is the command line's.
	changed, idle, more := fakePlan("a"), fakePlan("idle"), fakePlan("more")
	changed.CapacityBytes, idle.Needed, more.Replicas = 2<<20, false, 7
	s.change(first["wasmesh-controller"], changed, idle, more)
	again := s.awaitAll("started", "runtime-a-0", "a-0")

	if s.position("ending", "a-0") > s.position("ending", "runtime-a-0") {
		t.Error("the runtime was told to end before its host")
	}
	for name, m := range again {
		if before, after := portsOf(first[name].Args), portsOf(m.Args); !slices.Equal(before, after) {
			t.Errorf("%s moved from %v to %v", name, before, after)
		}
		if slices.Equal(first[name].Args, m.Args) {
			t.Errorf("%s was started by the old plan: %v", name, m.Args)
		}
	}
	for _, name := range []string{"runtime-idle-0", "idle-0", "runtime-more-0", "more-0"} {
		if s.position("ending", name) >= 0 {
			t.Errorf("%s was disturbed: %v", name, s.seen)
		}
	}
}

// portsOf answers the arguments that name addresses.
func portsOf(args []string) []string {
	var found []string
	for _, arg := range args {
		if strings.Contains(arg, "127.0.0.1:") || strings.Contains(arg, "--port=") {
			found = append(found, arg)
		}
	}
	return found
}

// An interrupt while a member is being replaced: what is ending ends, in order, and nothing new starts.
func TestAnInterruptEndsAReplacement(t *testing.T) {
	s := newStage(t)
	s.write(fakePlan("a"))
	up := s.up()
	first := s.awaitAll("started", "wasmesh-controller", "runtime-a-0", "a-0")
	release := s.hold("a-0")
	changed := fakePlan("a")
	changed.CapacityBytes = 2 << 20
	s.change(first["wasmesh-controller"], changed)
	s.await("ending", "a-0")
	up.cancel()
	s.output.await(t, "stopping")
	release()
	if err := up.end(); err != nil {
		t.Errorf("Up = %v", err)
	}
	s.awaitAll("gone", "runtime-a-0", "wasmesh-controller")
	starts := 0
	for _, m := range s.rest() {
		if m.Event == "started" {
			starts++
		}
	}
	if starts != 3 {
		t.Errorf("%d processes were started, want the first three only: %v", starts, s.seen)
	}
}

func TestACrashLoopIsToldWithItsLastWords(t *testing.T) {
	s := newStage(t)
	dying := fakePlan("dying")
	dying.Env = []*adminv1.RuntimePlan_EnvVar{{Name: dieEnv, Value: "starting\ncannot find the weights"}}
	s.write(dying)
	s.up()
	s.output.await(t, "runtime-dying-0 keeps ending", "exit status 3", "cannot find the weights", "runtime-dying-0.log")
}

func TestAMissingProgramEndsAMeshThatHasNoOther(t *testing.T) {
	s := newStage(t)
	t.Setenv("PATH", t.TempDir())
	s.config.RuntimesDir = t.TempDir()
	plan := fakePlan("mlserver-1.x")
	plan.ServerType = "mlserver"
	s.write(plan)
	up := s.up()
	err := up.end()
	if err == nil || !containsAll(err.Error(), []string{"ServingRuntime mlserver-1.x", "mlserver", "make runtime-mlserver", s.config.RuntimesDir}) {
		t.Errorf("Up = %v, want the runtime, its program, where it was looked for and the command that installs it", err)
	}
	s.await("gone", "wasmesh-controller")
}

func TestAMissingProgramLeavesOtherRuntimesAlone(t *testing.T) {
	s := newStage(t)
	t.Setenv("PATH", t.TempDir())
	missing := fakePlan("a-mlserver")
	missing.ServerType = "mlserver"
	unknown := fakePlan("b-unknown")
	unknown.ServerType = "abacus"
	own := fakePlan("c-own")
	own.ServerType = ""
	s.write(missing, unknown, own, fakePlan("d"))
	up := s.up()
	s.awaitAll("started", "runtime-d-0", "d-0")
	s.output.await(t, "a-mlserver", "make runtime-mlserver")
	s.output.await(t, "b-unknown", `"abacus"`)
	s.output.await(t, "c-own", "builtInAdapter")
	up.cancel()
	if err := up.end(); err != nil {
		t.Errorf("Up = %v", err)
	}
}

func TestUpSaysThatTheRuntimeIsMissing(t *testing.T) {
	s := newStage(t)
	t.Setenv(objectEnv, `{"kind":"InferenceService"}`)
	s.write()
	s.up()
	s.output.await(t, "no ServingRuntime in "+s.config.Sources[0], "-f runtimes/mlserver/servingruntime.yaml")
}

func TestUpRefusesWhatCannotWork(t *testing.T) {
	busy := newStage(t)
	busy.write()
	busy.up()
	busy.output.await(t, "no InferenceService or Predictor is declared yet", busy.config.Sources[0])
	taken := loopback() + ":8033"
	listen(t, taken, nil)
	for _, test := range []struct {
		name   string
		change func(*Config)
		words  []string
	}{
		{"no such source", func(c *Config) { c.Sources = []string{"no/such/path"} }, []string{"-f", "no/such/path", "no such file"}},
		{"no hosts", func(c *Config) { c.HostsPerRuntime = 0 }, []string{"--hosts 0"}},
		{"too many hosts", func(c *Config) { c.HostsPerRuntime = maxHosts + 1 }, []string{"--hosts 257", "256"}},
		{"a zone without a name", func(c *Config) { c.Zones = []string{"a", ""} }, []string{"--zones a,"}},
		{"no port", func(c *Config) { c.GRPCAddress = "localhost" }, []string{"--grpc-address", "localhost"}},
		{"gRPC port in use", func(c *Config) { c.GRPCAddress = taken }, []string{"--grpc-address", taken, "in use"}},
		{"REST port in use", func(c *Config) { c.RESTAddress = taken }, []string{"--rest-address", taken, "in use"}},
		{"one port for both", func(c *Config) { c.RESTAddress = c.GRPCAddress }, []string{"--rest-address", "this mesh itself"}},
		{"data directory in use", func(c *Config) { c.DataDir = busy.config.DataDir }, []string{"another `wasmesh up`", busy.config.DataDir}},
		{"long data directory", func(c *Config) { c.DataDir = filepath.Join(c.DataDir, strings.Repeat("x", 107)) }, []string{"socket", "107", "--data-dir"}},
		{"no programs of ours", func(c *Config) { c.BinDir = c.DataDir }, []string{"wasmesh-controller", "make build"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(t)
			t.Setenv("PATH", t.TempDir())
			test.change(&s.config)
			err := s.up().end()
			if err == nil || !containsAll(err.Error(), test.words) {
				t.Errorf("Up = %v, want an error with %q", err, test.words)
			}
			if started := s.rest(); len(started) > 0 {
				t.Errorf("programs were started: %v", started)
			}
		})
	}
}

// A host whose port is taken is refused without an end of the others.
func TestALaterHostsTakenPortIsToldAndHarmsNobody(t *testing.T) {
	s := newStage(t)
	second := mustOffset(t, s.config.GRPCAddress, 1)
	listen(t, second, nil)
	s.config.HostsPerRuntime = 2
	s.write(fakePlan("a"))
	up := s.up()
	s.awaitAll("started", "runtime-a-0", "a-0")
	s.output.await(t, "ServingRuntime a", second, "in use")
	up.cancel()
	if err := up.end(); err != nil {
		t.Errorf("Up = %v", err)
	}
}
