package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/author"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
	"github.com/wasmesh/wasmesh/test/installed"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/hooktest"
)

// apply wraps a module in its ConfigMap and puts it where the mesh reads it.
func (m *mesh) apply(name, module string, args ...string) {
	m.t.Helper()
	if _, err := m.run(append([]string{"policy", "apply", module, "--name", name}, args...)...); err != nil {
		m.t.Fatal(err)
	}
}

// unapply deletes the ConfigMap.
func (m *mesh) unapply(name string) {
	m.t.Helper()
	if err := os.Remove(filepath.Join(m.sources, name+".yaml")); err != nil {
		m.t.Fatal(err)
	}
}

// shipped is a module of bin/policies.
func shipped(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(installed.Root(t), "bin", "policies", name+".wasm")
}

// untilDecidedBy waits until `policy status` names what decides a hook.
func (m *mesh) untilDecidedBy(hook, policy string) {
	m.t.Helper()
	m.eventually(hook+" is decided by "+policy, func() error {
		status, err := m.run("policy", "status")
		if err != nil {
			return err
		}
		for line := range strings.Lines(status) {
			if fields := strings.Fields(line); len(fields) > 1 && fields[0] == hook && strings.Contains(line, policy+" ") {
				return nil
			}
		}
		return errors.New(status)
	})
}

// untilPhase waits for what became of a ConfigMap and answers its line of `policy status`.
func (m *mesh) untilPhase(name, phase string) (line string) {
	m.t.Helper()
	m.eventually(name+" is "+phase, func() error {
		status, err := m.run("policy", "status")
		if err != nil {
			return err
		}
		for line = range strings.Lines(status) {
			if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name && slices.Contains(fields[1:], phase) {
				return nil
			}
		}
		return errors.New(status)
	})
	return line
}

// untilProgrammed waits until this very module decides: the ConfigMap may still read as it did before it was edited.
func (m *mesh) untilProgrammed(name, module string) {
	m.t.Helper()
	content, err := os.ReadFile(module)
	if err != nil {
		m.t.Fatal(err)
	}
	want := sha256.Sum256(content)
	m.eventually(name+" is programmed", func() error {
		out, err := m.run("policy", "status", "-o", "json")
		if err != nil {
			return err
		}
		var status struct {
			Policies []struct {
				Name, Phase string
				Generation  struct{ ModuleDigest []byte }
			}
		}
		if err := json.Unmarshal([]byte(out), &status); err != nil {
			return err
		}
		for _, p := range status.Policies {
			if p.Name == name && p.Phase == "POLICY_PHASE_PROGRAMMED" && bytes.Equal(p.Generation.ModuleDigest, want[:]) {
				return nil
			}
		}
		return errors.New(out)
	})
}

// crowded is a mesh with more models than memory: ten of 30 MiB, and those named, in 100 MiB.
func crowded(t *testing.T, more ...string) *mesh {
	s3 := newStore(t)
	files := map[string]string{"secret.yaml": s3.secret(), "runtime.yaml": fakeRuntime(100 * mib)}
	for _, name := range slices.Concat(crowd, more) {
		files[name+".yaml"] = sized(fakeService(name, s3.putFake(name, behaviour{SizeBytes: 30 * mib, LoadMS: 2})), 30*mib)
	}
	m := up(t, files)
	m.eventually("a model is loaded", func() error {
		_, err := infer(t.Context(), m.grpcClient(), crowd[0])
		return err
	})
	return m
}

var crowd = []string{"m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"}

// evictedNext fills the memory with a model that was used often, long ago, and two that were used once, just now, and
// answers which of them has to go for a fourth.
func (m *mesh) evictedNext(client inference.GRPCInferenceServiceClient) string {
	m.t.Helper()
	for i, name := range []string{"m1", "m2", "m3", "m4"} {
		uses := 1
		if i == 0 {
			uses = 200
		}
		for range uses {
			if _, err := infer(m.t.Context(), client, name); err != nil {
				m.t.Fatal(err)
			}
		}
	}
	models, err := m.run("get", "models")
	if err != nil {
		m.t.Fatal(err)
	}
	for _, name := range []string{"m1", "m2", "m3"} {
		for line := range strings.Lines(models) {
			if strings.Contains(line, " "+name+" ") && !strings.Contains(line, "Loaded") || strings.Contains(line, " "+name+" ") && strings.Contains(line, "NotLoaded") {
				return name
			}
		}
	}
	m.t.Fatalf("nobody was evicted:\n%s", models)
	return ""
}

// Adding, editing and deleting the ConfigMap changes who is evicted next, a hundred times under load without a failed
// request.
func TestPolicySwapsUnderLoad(t *testing.T) {
	const swaps = 100
	m := crowded(t)
	client := m.grpcClient()
	// m1 was used often, but not lately; m2 and m3 once, just now.
	for _, c := range []struct {
		policy string
		goes   []string
	}{{"evict-lru", []string{"m1"}}, {"evict-gdsf", []string{"m2", "m3"}}} {
		m.apply("who", shipped(t, c.policy))
		m.untilProgrammed("who", shipped(t, c.policy))
		// What was loaded before goes first: every round starts from the same.
		for _, name := range crowd[5:8] {
			if _, err := infer(t.Context(), client, name); err != nil {
				t.Fatal(err)
			}
		}
		if goes := m.evictedNext(client); !slices.Contains(c.goes, goes) {
			t.Errorf("with %s %s is evicted, want one of %v", c.policy, goes, c.goes)
		}
	}

	running := startLoad(t.Context(), 4, func(ctx context.Context) (*inference.ModelInferResponse, error) {
		return infer(ctx, client, crowd[rand.IntN(len(crowd))])
	})
	for i := range swaps {
		switch i % 3 {
		case 0:
			m.apply("who", shipped(t, "evict-lru"))
			m.untilProgrammed("who", shipped(t, "evict-lru"))
		case 1:
			m.apply("who", shipped(t, "evict-cost-aware"))
			m.untilProgrammed("who", shipped(t, "evict-cost-aware"))
		case 2:
			m.unapply("who")
			m.untilDecidedBy("evict", "built-in cost-aware")
		}
	}
	sent, errs := running.stop()
	t.Logf("%d swaps under %d requests", swaps, sent)
	if len(errs) > 0 {
		t.Errorf("%d of %d requests failed, first: %v", len(errs), sent, firstOf(errs))
	}
}

// wrong is a module that must not decide for long.
type wrong struct {
	name  string
	wasm  []byte
	phase string
	// says is part of the message.
	says string
}

func wrongModules() []wrong {
	live := func(fault hooktest.Fault) []byte { return hooktest.Module{Fault: fault, OnlyLive: true}.Wasm() }
	trial := func(fault hooktest.Fault) []byte { return hooktest.Module{Fault: fault}.Wasm() }
	otherABI := bytes.Replace(trial(hooktest.None), []byte{0x41, 0x80, 0x80, 0x04}, []byte{0x41, 0x80, 0x80, 0x08}, 1)
	hungry := []byte("\x00asm\x01\x00\x00\x00\x05\x04\x01\x00\xe8\x07") // A memory of 1000 pages at least.
	return []wrong{
		{"a-noise", bytes.Repeat([]byte{7, 42, 9}, 1000), "Invalid", "no WebAssembly module"},
		{"a-truncated", trial(hooktest.None)[:60], "Invalid", "format"},
		{"a-abi", otherABI, "Invalid", "abi"},
		{"a-hungry", hungry, "Invalid", "memory pages"},
		{"a-looping", trial(hooktest.Loops), "Invalid", "fuel"},
		{"a-trapping", trial(hooktest.Traps), "Invalid", "unreachable"},
		{"a-lying", trial(hooktest.Lies), "Invalid", "row"},
		{"a-late-loop", live(hooktest.Loops), "RolledBack", "fuel"},
		{"a-late-trap", live(hooktest.Traps), "RolledBack", "unreachable"},
		{"a-late-lie", live(hooktest.Lies), "RolledBack", "row"},
	}
}

// A module that is wrong never decides, or is taken back, and `policy status` says why. Requests do not notice.
func TestWrongPolicies(t *testing.T) {
	m := crowded(t)
	client := m.grpcClient()
	m.apply("good", shipped(t, "evict-lru"))
	m.untilPhase("good", "Programmed")
	running := startLoad(t.Context(), 4, func(ctx context.Context) (*inference.ModelInferResponse, error) {
		return infer(ctx, client, crowd[rand.IntN(len(crowd))])
	})
	for _, c := range wrongModules() {
		t.Run(c.name, func(t *testing.T) {
			m := m.in(t)
			// `policy apply` would refuse it on this side.
			content, _, err := author.Manifest{Name: c.name, Namespace: "default", Module: c.wasm}.YAML()
			if err != nil {
				t.Fatal(err)
			}
			m.write(c.name+".yaml", string(content))
			line := m.untilPhase(c.name, c.phase)
			t.Log(line)
			if !strings.Contains(line, c.says) {
				t.Errorf("status does not say %q: %s", c.says, line)
			}
			if c.phase == "Invalid" {
				m.untilDecidedBy("evict", "good")
			}
			m.unapply(c.name)
			m.untilDecidedBy("evict", "good")
		})
	}
	sent, errs := running.stop()
	t.Logf("%d requests meanwhile", sent)
	if len(errs) > 0 {
		t.Errorf("%d of %d requests failed, first: %v", len(errs), sent, firstOf(errs))
	}
}
