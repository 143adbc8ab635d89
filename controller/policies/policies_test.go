package policies

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/policyconfig"
	syncserver "github.com/wasmesh/wasmesh/controller/sync"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/hooktest"
)

// patience is how long a step may take before the test gives up; nothing is measured.
const patience = 30 * time.Second

// bench is a Runner with a real engine between a mesh and a store of the test's own.
type bench struct {
	t *testing.T
	*Runner
	stop func()

	declared map[string]*corev1.ConfigMap

	mu sync.Mutex
	// hosts do what the plan says, at once; those of failing fail it with these words.
	hosts   []string
	failing map[string]string
	plan    *syncv1.PolicyPlan
	modules map[string][]byte
	plans   int
	changed chan struct{}
	events  []decide.Event

	saved  Restored
	saves  int
	broken error
	term   uint64
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, declared: map[string]*corev1.ConfigMap{}, failing: map[string]string{}, changed: make(chan struct{}, 1)}
	b.start()
	return b
}

func (b *bench) start() {
	b.t.Helper()
	b.term++
	e, err := engine.New(engine.Config{})
	if err != nil {
		b.t.Fatal(err)
	}
	b.Runner, err = New(b.t.Context(), Config{
		Namespace: "default", Term: b.term, Engine: e, Mesh: b, Store: b, Restored: b.saved, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	runner := b.Runner
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- runner.Run(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("run: %v", err)
		}
		runner.Close()
		if err := e.Close(); err != nil {
			b.t.Error(err) // Programs are open that nobody uses any more.
		}
	})
	b.t.Cleanup(b.stop)
}

func (b *bench) SetPolicies(namespace string, plan *syncv1.PolicyPlan, modules map[string][]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.modules = modules
	if plan == b.plan {
		return
	}
	if namespace != "default" {
		b.t.Errorf("namespace %q", namespace)
	}
	for _, e := range plan.Entries {
		module := modules[string(e.Generation.ModuleDigest)]
		if sum := sha256.Sum256(module); !bytes.Equal(sum[:], e.Generation.ModuleDigest) || len(module) != int(e.Generation.ModuleBytes) {
			b.t.Errorf("the module of %v cannot be fetched", e.Generation)
		}
	}
	b.plan = plan
	b.plans++
	signal(b.changed)
}

func (b *bench) PoliciesChanged() <-chan struct{} { return b.changed }
func (b *bench) Settled() bool                    { return true }

func (b *bench) PolicyHosts(string) (hosts []syncserver.PolicyHost) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range b.hosts {
		report := &syncv1.PolicyReport{PlanVersion: b.plan.GetVersion()}
		for _, e := range b.plan.GetEntries() {
			entry := &syncv1.PolicyReport_Entry{Id: e.Generation.Id, Hook: e.Generation.Hook, State: stateOf(e.Role, false)}
			if message := b.failing[id]; message != "" {
				entry.State, entry.Message = syncv1.GenerationState_GENERATION_STATE_FAILED, message
			}
			report.Entries = append(report.Entries, entry)
		}
		hosts = append(hosts, syncserver.PolicyHost{ID: id, Report: report})
	}
	return hosts
}

func (b *bench) SavePolicies(record []byte, modules map[string][]byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.saves++
	if b.broken == nil {
		b.saved = Restored{Record: record, Modules: maps.Clone(modules)}
	}
	return b.broken
}

// set has one policy declared; without a module there is none.
func (b *bench) set(name string, module []byte, data map[string]string) {
	if module == nil {
		delete(b.declared, name)
	} else {
		b.declared[name] = &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{policyconfig.Label: "true"}},
			BinaryData: map[string][]byte{name + ".wasm": module}, Data: data,
		}
	}
	b.declare()
}

func (b *bench) declare() { b.Declare(slices.Collect(maps.Values(b.declared))) }

// await waits until a policy's row is as wanted, and answers it.
func (b *bench) await(name, hook string, phase adminv1.PolicyPhase, message string) *adminv1.ListPoliciesResponse_Policy {
	b.t.Helper()
	var last []*adminv1.ListPoliciesResponse_Policy
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		policies, _ := b.List()
		last = policies
		b.events = append(b.events, b.TakeEvents()...)
		for _, p := range policies {
			if p.Name == name && p.Hook == hook && p.Phase == phase && strings.Contains(p.Message, message) {
				return p
			}
		}
	}
	b.t.Fatalf("%s for %s is not %v with %q; policies are %v", name, hook, phase, message, last)
	return nil
}

// awaitModule waits until a module decides everywhere.
func (b *bench) awaitModule(name, hook string, module []byte) {
	b.t.Helper()
	sum := sha256.Sum256(module)
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		row := b.await(name, hook, programmed, "")
		if bytes.Equal(row.Generation.ModuleDigest, sum[:]) {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%s: another module decides: %v", name, row)
		}
	}
}

// ask for the status of an object whose only model has so many loaded copies.
func (b *bench) ask(name string, loaded uint32) (ready bool, decision uint64) {
	request := statusRequest(name, loaded)
	answer := b.Status(request)
	return answer.Ready != 0, request.Header.DecisionID
}

func statusRequest(name string, loaded uint32) *policyabi.StatusRequest {
	return &policyabi.StatusRequest{
		Context: policyabi.StatusContext{Name: "default/InferenceService/" + name, Transition: policyabi.TransitionUpToDate, HostsConnected: 1},
		Rows: []policyabi.StatusRow{
			{Name: name + "__isvc-1", Loaded: loaded, HostsReady: 1, Flags: policyabi.RevisionFlagConsidered},
		},
	}
}

const (
	programmed = adminv1.PolicyPhase_POLICY_PHASE_PROGRAMMED
	invalid    = adminv1.PolicyPhase_POLICY_PHASE_INVALID
)

func zipped(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}

func TestPoliciesReachHosts(t *testing.T) {
	b := newBench(t)
	b.hosts = []string{"h1", "h2"}
	module := hooktest.Module{}.Wasm()
	b.set("a", zipped(module), map[string]string{"sha256": fmt.Sprintf("%x", sha256.Sum256(module))})
	row := b.await("a", "evict", programmed, "")
	if row.Programmed != 2 || row.Hosts != 2 || len(row.HostStates) != 2 || row.Generation.ModuleBytes != uint64(len(module)) {
		t.Errorf("row %v", row)
	}
	b.await("a", "place", programmed, "")
	if got := b.Annotations()[decide.Key{Namespace: "default", Kind: "ConfigMap", Name: "a"}]; got != "evict: programmed 2/2; place: programmed 2/2" {
		t.Errorf("annotation %q", got)
	}
	// A configuration that the module cannot take is refused, the old one decides on.
	b.set("a", module, map[string]string{"config": "x=1"})
	b.await("a", "evict", invalid, "refused (configure)")
	if _, hooks := b.List(); hooks[1].GenerationId != row.Generation.Id || hooks[1].Policy != "a" {
		t.Errorf("hooks %v", hooks)
	}
	b.failing["h2"] = "limit: instances"
	b.set("a", hooktest.Module{Salt: "new"}.Wasm(), nil)
	b.await("a", "evict", invalid, "host h2: limit: instances")
	b.set("a", nil, nil)
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if policies, hooks := b.List(); len(policies) == 0 && hooks[1].GenerationId == "" {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("removal: %v", policies)
		}
	}
	var reasons []string
	for _, e := range append(b.events, b.TakeEvents()...) {
		if strings.HasPrefix(e.Message, "evict") {
			reasons = append(reasons, e.Reason)
		}
		if e.Reason == policyconfig.EventProgrammed && !strings.Contains(e.Message, ": programmed 2/2: generation ") {
			t.Errorf("Event %q", e.Message)
		}
	}
	want := []string{policyconfig.EventProgrammed, policyconfig.EventRefused, policyconfig.EventRefused, policyconfig.EventRemoved}
	if !slices.Equal(reasons, want) {
		t.Errorf("events %v, want %v", reasons, want)
	}
}

// Each refusal names the ConfigMap, the key, the rule and what broke it.
func TestHostileModulesAreRefused(t *testing.T) {
	b := newBench(t)
	b.hosts = []string{"h1"}
	good := hooktest.Module{}.Wasm()
	b.set("good", good, map[string]string{"hooks": "evict"})
	b.await("good", "evict", programmed, "")
	socket := slices.Concat(good[:8], []byte{1, 4, 1, 0x60, 0, 0}, []byte{2, 23, 1},
		[]byte("\x16wasi_snapshot_preview1"), []byte("\x00"))
	for _, test := range []struct {
		name    string
		module  []byte
		data    map[string]string
		hook    string
		message string
	}{
		{"noise", []byte("no module at all"), nil, "", "refused (format)"},
		{"truncated", good[:len(good)/2], nil, "", "refused ("},
		{"import", importing("wasi_snapshot_preview1", "sock_accept"), nil, "", "sock_accept"},
		{"broken-import", socket, nil, "", "refused ("},
		{"bomb", zipped(make([]byte, maxModuleBytes+1)), nil, "", "refused (limit): "},
		{"loops", hooktest.Module{Fault: hooktest.Loops}.Wasm(), nil, "evict", "fuel"},
		{"traps", hooktest.Module{Fault: hooktest.Traps}.Wasm(), nil, "place", "unreachable"},
		{"lies", hooktest.Module{Fault: hooktest.Lies}.Wasm(), nil, "evict", "preflight"},
		{"digest", good, map[string]string{"sha256": strings.Repeat("0", 64)}, "", "the uncompressed module has SHA-256 "},
		{"hook", good, map[string]string{"hooks": "status"}, "status", "mesh_status"},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := "0-" + test.name // Before "good", so that it would win.
			b.set(name, test.module, test.data)
			row := b.await(name, test.hook, invalid, test.message)
			if !strings.HasPrefix(row.Message, "ConfigMap "+name+": "+name+".wasm: ") {
				t.Errorf("message %q does not name the ConfigMap and its key", row.Message)
			}
			b.await("good", "evict", programmed, "")
			b.set(name, nil, nil)
		})
	}
}

// importing is a module that imports one function and has nothing else.
func importing(module, name string) []byte {
	imported := join(vector([]byte(module)), vector([]byte(name)), []byte{0, 0})
	return join([]byte("\x00asm\x01\x00\x00\x00"), section(1, [][]byte{{0x60, 0, 0}}), section(2, [][]byte{imported}))
}

func TestStatusPolicy(t *testing.T) {
	b := newBench(t)
	if ready, _ := b.ask("m", 0); !ready {
		t.Error("a model on standby is not ready to the built-in policy")
	}
	b.set("strict", statusModule{}.wasm(), nil)
	b.await("strict", "status", programmed, "")
	ready, decision := b.ask("m", 0)
	if ready || decision == 0 {
		t.Errorf("on standby: ready %t, decision %d", ready, decision)
	}
	if ready, again := b.ask("m", 0); ready || again != 0 {
		t.Errorf("nothing has changed, and it is asked again: %t %d", ready, again)
	}
	written := statusRequest("m", 0)
	written.Context.PreviousTransition, written.Context.PreviousFailure = policyabi.TransitionUpToDate, policyabi.FailureRuntimeUnhealthy
	written.Rows[0].PreviousState = policyabi.ModelStateStandby
	if answer := b.Status(written); answer.Ready != 0 || written.Header.DecisionID != 0 {
		t.Errorf("only the status has changed, and it is asked again: %v %d", answer, written.Header.DecisionID)
	}
	if ready, _ := b.ask("m", 1); !ready {
		t.Error("loaded, and not ready")
	}
	b.Contradicted([]decide.Contradiction{{Decision: decision, Rule: "transition"}})
	records := b.Recorded(&syncv1.DecisionsQuery{ModelId: "m__isvc-1", Hook: "status"})
	if len(records) != 3 || records[0].HostId != "controller" || records[1].Generation.GetPolicy() != "strict" ||
		!strings.Contains(records[1].Effect, "transition") || records[2].Outcome != syncv1.DecisionOutcome_DECISION_OUTCOME_BUILT_IN {
		t.Errorf("records %v", records)
	}
	if other := b.Recorded(&syncv1.DecisionsQuery{Hook: "evict"}); len(other) != 0 {
		t.Errorf("records of another hook: %v", other)
	}

	// The controller starts again: what decided decides at once, before any ConfigMap is read.
	b.stop()
	b.start()
	if ready, _ := b.ask("m", 0); ready {
		t.Error("after a restart the built-in policy decides")
	}
	b.declare()
	b.await("strict", "status", programmed, "")

	message, err := b.RollBack(t.Context(), "status")
	if err != nil || !strings.Contains(message, "built-in policy modelmesh") {
		t.Errorf("rollback: %q, error %v", message, err)
	}
	if _, hooks := b.List(); hooks[2].Hook != "status" || hooks[2].GenerationId != "" {
		t.Errorf("what is listed right after the rollback: %v", hooks)
	}
	b.await("strict", "status", adminv1.PolicyPhase_POLICY_PHASE_SUSPENDED, "by hand")
	if ready, _ := b.ask("m", 0); !ready {
		t.Error("after the rollback it still reads by the policy")
	}
	if _, err := b.RollBack(t.Context(), "status"); !errors.Is(err, policyconfig.ErrNothingBefore) {
		t.Errorf("a second rollback: %v", err)
	}
	if _, err := b.RollBack(t.Context(), "move"); !errors.Is(err, policyconfig.ErrUnknownHook) {
		t.Errorf("an unknown hook: %v", err)
	}
}

func TestTrappingStatusPolicyIsTakenBack(t *testing.T) {
	b := newBench(t)
	b.set("p", statusModule{}.wasm(), nil)
	b.await("p", "status", programmed, "")
	b.set("p", statusModule{trap: true}.wasm(), nil)
	b.awaitModule("p", "status", statusModule{trap: true}.wasm())
	// Until then the built-in policy answers, by which it is ready.
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if ready, _ := b.ask("m", 0); !ready {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it is not taken back")
		}
	}
	b.await("p", "status", adminv1.PolicyPhase_POLICY_PHASE_ROLLED_BACK, "unreachable")
	if ready, _ := b.ask("m", 0); ready {
		t.Error("the generation before does not decide")
	}
	b.stop()
	b.start()
	b.declare()
	b.await("p", "status", adminv1.PolicyPhase_POLICY_PHASE_ROLLED_BACK, "unreachable")
	if ready, _ := b.ask("m", 0); ready {
		t.Error("after a restart the generation before does not decide")
	}
}

// A hundred swaps while statuses are decided: each question is answered, and the last policy decides in the end.
func TestQuickSwaps(t *testing.T) {
	b := newBench(t)
	b.hosts = []string{"h1"}
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	asking.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			if ready, _ := b.ask(fmt.Sprint("m", i%100), 1); !ready {
				t.Error("a loaded model is not ready")
				return
			}
		}
	})
	const swaps = 100
	for i := range swaps {
		salt := fmt.Sprint(i)
		b.set("status", statusModule{salt: salt}.wasm(), nil)
		b.set("evict", hooktest.Module{Salt: salt}.Wasm(), nil)
		if i%10 == 9 {
			b.await("evict", "evict", programmed, "")
			b.await("status", "status", programmed, "")
		}
	}
	b.awaitModule("status", "status", statusModule{salt: "99"}.wasm())
	b.awaitModule("evict", "evict", hooktest.Module{Salt: "99"}.Wasm())
	cancel()
	asking.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.modules) > 8 {
		t.Errorf("%d modules are held", len(b.modules))
	}
}

func TestPlansAreDurableFirst(t *testing.T) {
	b := newBench(t)
	b.mu.Lock()
	b.hosts, b.broken = []string{"h1"}, errors.New("disk full")
	b.mu.Unlock()
	b.set("a", hooktest.Module{}.Wasm(), nil)
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		b.mu.Lock()
		saves := b.saves
		b.mu.Unlock()
		if saves > 1 {
			break
		} else if time.Now().After(deadline) {
			t.Fatal("nothing was saved")
		}
	}
	b.mu.Lock()
	if b.plans > 0 && len(b.plan.Entries) > 0 {
		t.Errorf("a plan went out before it was durable: %v", b.plan)
	}
	b.broken = nil
	b.mu.Unlock()
	b.await("a", "evict", programmed, "")
}
