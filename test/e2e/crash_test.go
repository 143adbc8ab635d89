package e2e

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/sdk/proto/inference"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A runtime that is killed under load costs the requests that were in it, and nothing else.
func TestKilledRuntimeComesBack(t *testing.T) {
	s3 := newStore(t)
	m := up(t, map[string]string{
		"secret.yaml": s3.secret(), "runtime.yaml": fakeRuntime(100 * mib),
		"a.yaml": fakeService("a", s3.putFake("a", behaviour{SizeBytes: mib, ServiceMS: 20})),
		"b.yaml": fakeService("b", s3.putFake("b", behaviour{SizeBytes: mib})),
	})
	m.untilLoaded("a")
	m.untilLoaded("b")
	client := m.grpcClient()

	m.killUnderLoad("runtime-fake-1.x-0", func(ctx context.Context) (*inference.ModelInferResponse, error) {
		return infer(ctx, client, "a")
	})
	// The other model comes back although nobody asks for it.
	m.untilLoaded("b")
}

// killUnderLoad kills a runtime while requests flow and checks that only those that were in it fail, and that the others
// are answered once it is back.
func (m *mesh) killUnderLoad(runtime string, ask func(context.Context) (*inference.ModelInferResponse, error)) {
	const callers, enough = 8, 50
	m.t.Helper()
	running := startLoad(m.t.Context(), callers, ask)
	flow := func(what string, from int64) {
		m.eventually(what, func() error {
			if n := running.sent.Load(); n < from+enough {
				return fmt.Errorf("%d requests so far", n)
			}
			return nil
		})
	}
	flow("requests flow", 0)
	old := m.kill(runtime)
	m.eventually("the runtime is back", func() error {
		if m.process(runtime).PID == old {
			return errors.New("not yet")
		}
		return nil
	})
	flow("requests flow again", running.sent.Load())
	sent, errs := running.stop()
	m.t.Logf("%d requests, %d failed: %v", sent, len(errs), firstOf(errs))
	if len(errs) > callers {
		m.t.Errorf("%d requests failed, but at most %d were in flight; the last: %v", len(errs), callers, errs[len(errs)-1])
	}
	for _, err := range errs {
		if status.Code(err) != codes.Unavailable {
			m.t.Errorf("a request in flight ended with %v, want UNAVAILABLE", err)
		}
	}
}

// Without the controller models are served, loaded and evicted; when it is back, status is right.
func TestKilledControllerIsNotMissed(t *testing.T) {
	s3 := newStore(t)
	m := up(t, map[string]string{
		"secret.yaml": s3.secret(), "runtime.yaml": fakeRuntime(50 * mib),
		"a.yaml": sized(fakeService("a", s3.putFake("a", behaviour{SizeBytes: 30 * mib})), 30*mib),
		"b.yaml": sized(fakeService("b", s3.putFake("b", behaviour{SizeBytes: 30 * mib})), 30*mib),
	})
	client := m.grpcClient()
	for _, name := range []string{"a", "b"} { // there is room for one, and either may come first
		m.until(name, "is known", func(s service) bool { return s.active() == "Standby" || s.active() == "Loaded" })
	}

	// Stopped, not killed, so that the launcher does not bring it back before the requests have been sent.
	controller := m.process("wasmesh-controller").PID
	if err := syscall.Kill(controller, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for range 3 { // each load evicts the other model
		for _, name := range []string{"a", "b"} {
			if _, err := infer(t.Context(), client, name); err != nil {
				t.Fatalf("without controller: %v", err)
			}
		}
	}
	if err := syscall.Kill(controller, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := infer(t.Context(), client, "a"); err != nil {
		t.Fatalf("without controller: %v", err)
	}
	m.until("a", "is loaded and b is not", func(s service) bool {
		b, err := m.service("b")
		return err == nil && s.active() == "Loaded" && b.active() == "Standby"
	})
}

// An interrupt ends every process, in order and within ten seconds; so does the death of the launcher.
func TestNothingIsLeftBehind(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(m *mesh)
	}{
		{"interrupt", func(m *mesh) {
			if took := m.stop(); took > 10*time.Second {
				t.Errorf("stopping took %v", took)
			}
		}},
		{"kill -9", func(m *mesh) {
			_ = m.command.Process.Kill()
			<-m.ended
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s3 := newStore(t)
			m := up(t, map[string]string{
				"secret.yaml": s3.secret(), "runtime.yaml": fakeRuntime(100 * mib),
				"a.yaml": fakeService("a", s3.putFake("a", behaviour{SizeBytes: mib})),
			})
			m.untilLoaded("a")
			records := m.records()
			if len(records) < 3 {
				t.Fatalf("records of %d processes, want controller, host and runtime: %v", len(records), records)
			}
			test.end(m)
			deadline := time.Now().Add(10 * time.Second)
			for name, r := range records {
				for alive(r.PID) && time.Now().Before(deadline) {
					time.Sleep(10 * time.Millisecond)
				}
				if alive(r.PID) {
					t.Errorf("%s (pid %d) is still there", name, r.PID)
				}
			}
		})
	}
}
