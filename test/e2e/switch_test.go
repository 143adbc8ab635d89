package e2e

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

// load sends requests one after the other from several callers until stop, and answers how many there were and what
// failed.
type load struct {
	cancel  context.CancelFunc
	callers sync.WaitGroup
	sent    atomic.Int64
	mu      sync.Mutex
	errs    []error
	// answeredBy counts answers by model id.
	answeredBy map[string]int
}

func startLoad(ctx context.Context, callers int, ask func(context.Context) (*inference.ModelInferResponse, error)) *load {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{cancel: cancel, answeredBy: make(map[string]int)}
	for range callers {
		l.callers.Go(func() {
			for ctx.Err() == nil {
				response, err := ask(ctx)
				if ctx.Err() != nil {
					return
				}
				l.sent.Add(1)
				l.mu.Lock()
				if err != nil {
					l.errs = append(l.errs, err)
				} else {
					l.answeredBy[response.GetModelName()]++
				}
				l.mu.Unlock()
			}
		})
	}
	return l
}

func (l *load) stop() (sent int64, errs []error) {
	l.cancel()
	l.callers.Wait()
	return l.sent.Load(), l.errs
}

// An edit of the path switches without a failed request; a bad edit leaves the old model answering, says why, and does so
// still after both processes of ours have been killed.
func TestEditSwitchesAndBadEditIsBlocked(t *testing.T) {
	s3 := newStore(t)
	first := s3.putFake("first", behaviour{SizeBytes: mib})
	second := s3.putFake("second", behaviour{SizeBytes: mib, LoadMS: 200})
	m := up(t, map[string]string{
		"secret.yaml": s3.secret(), "runtime.yaml": fakeRuntime(100 * mib), "service.yaml": fakeService("digits", first),
	})
	m.untilLoaded("digits")
	client := m.grpcClient()
	before, err := infer(t.Context(), client, "digits")
	if err != nil {
		t.Fatal(err)
	}

	running := startLoad(t.Context(), 4, func(ctx context.Context) (*inference.ModelInferResponse, error) {
		return infer(ctx, client, "digits")
	})
	m.write("service.yaml", fakeService("digits", second))
	m.eventually("the second model answers", func() error {
		now, err := infer(t.Context(), client, "digits")
		if err == nil && now.GetModelName() == before.GetModelName() {
			err = errors.New("the first still does")
		}
		return err
	})
	m.until("digits", "is up to date", func(s service) bool {
		return s.active() == "Loaded" && s.target() == "" && s.Status.ModelStatus.TransitionStatus == "UpToDate"
	})
	sent, errs := running.stop()
	t.Logf("%d requests during the switch, by model: %v", sent, running.answeredBy)
	if len(errs) > 0 || len(running.answeredBy) != 2 {
		t.Errorf("%d of %d requests failed, first: %v; answered by %v", len(errs), sent, firstOf(errs), running.answeredBy)
	}

	m.write("service.yaml", fakeService("digits", "fake/no-such-model.json"))
	blocked := m.until("digits", "is blocked", func(s service) bool {
		return s.Status.ModelStatus.TransitionStatus == "BlockedByFailedLoad"
	})
	info := blocked.Status.ModelStatus.LastFailureInfo
	if blocked.active() != "Loaded" || blocked.target() != "FailedToLoad" || info == nil ||
		info.Reason != "ModelLoadFailed" || info.Message == "" || info.Time == "" || info.Location == "" {
		t.Fatalf("status after a bad edit: %s", blocked)
	}
	current, err := infer(t.Context(), client, "digits")
	if err != nil {
		t.Fatal(err)
	}
	described, err := m.run("describe", "isvc", "digits")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Active Model State:  Loaded", "Target Model State:  FailedToLoad", "BlockedByFailedLoad", "Failed Copies:  1", "Total Copies:   2",
		"Last Failure Info:", "Model Revision Name:", "no-such-model.json", "Events:",
	} {
		if !strings.Contains(described, want) {
			t.Errorf("describe does not say %q:\n%s", want, described)
		}
	}

	controller, host := m.kill("wasmesh-controller"), m.kill("fake-1.x-0")
	m.eventually("both are back", func() error {
		if c, h := m.process("wasmesh-controller").PID, m.process("fake-1.x-0").PID; c == controller || h == host {
			return errors.New("not yet")
		}
		return nil
	})
	m.eventually("the old model answers after the restart", func() error {
		now, err := infer(t.Context(), client, "digits")
		if err == nil && now.GetModelName() != current.GetModelName() {
			t.Fatalf("answered by %s, want %s still", now.GetModelName(), current.GetModelName())
		}
		return err
	})
	m.until("digits", "is blocked again", func(s service) bool {
		return s.Status.ModelStatus.TransitionStatus == "BlockedByFailedLoad" && s.active() == "Loaded"
	})
}

func firstOf(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return errs[0]
}
