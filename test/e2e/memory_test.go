package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Three hundred requests of 8 MiB wait for one load: the bodies stay with the clients.
func TestLargeRequestsWaitingForALoadStaySmall(t *testing.T) {
	t.Run("all fit the budget", func(t *testing.T) {
		answered, refused := waitTogether(t)
		if answered != waitingRequests {
			t.Errorf("%d of %d answered, %d refused", answered, waitingRequests, refused)
		}
	})
	t.Run("the excess is refused with the numbers", func(t *testing.T) {
		answered, refused := waitTogether(t, "--host-arg=--waiting-budget-bytes=8388608")
		if refused == 0 || answered == 0 || answered+refused != waitingRequests {
			t.Errorf("%d answered, %d refused of %d", answered, refused, waitingRequests)
		}
	})
}

const (
	waitingRequests = 300
	waitingBytes    = 8 * mib
	// allowedGrowth is what a host may grow above idle.
	allowedGrowth = 200 * mib
)

func waitTogether(t *testing.T, args ...string) (answered, refused int) {
	s3 := newStore(t)
	m := up(t, map[string]string{
		"secret.yaml": s3.secret(), "runtime.yaml": fakeRuntime(100 * mib),
		"filler.yaml": sized(fakeService("filler", s3.putFake("filler", behaviour{SizeBytes: 60 * mib})), 60*mib),
	}, args...)
	client := m.grpcClient()
	m.untilLoaded("filler")
	if _, err := infer(t.Context(), client, "filler"); err != nil {
		t.Fatal(err)
	}
	m.write("cold.yaml", sized(fakeService("cold", s3.putFake("cold", behaviour{SizeBytes: 60 * mib, LoadMS: 4000})), 60*mib))
	m.until("cold", "waits for a request", func(s service) bool { return s.active() == "Standby" })

	pid := m.process("fake-1.x-0").PID
	idle := residentBytes(t, pid)
	ctx, cancel := context.WithCancel(t.Context())
	var watcher sync.WaitGroup
	highest := idle
	watcher.Go(func() {
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for ctx.Err() == nil {
			highest = max(highest, residentBytes(t, pid))
			<-ticker.C
		}
	})

	errs := sendTogether(t, m)
	cancel()
	watcher.Wait()
	for _, err := range errs {
		switch {
		case err == nil:
			answered++
		case status.Code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), "bytes"):
			refused++
		default:
			t.Errorf("a waiting request ended with %v", err)
		}
	}
	t.Logf("%d answered, %d refused; host %d MiB idle, %d MiB at most: %d MiB growth", answered, refused,
		idle/mib, highest/mib, (highest-idle)/mib)
	if highest-idle > allowedGrowth {
		t.Errorf("the host grew by %d MiB, over %d MiB", (highest-idle)/mib, allowedGrowth/mib)
	}
	return answered, refused
}

// sendTogether spreads the requests over ten connections, as ten clients would.
func sendTogether(t *testing.T, m *mesh) []error {
	const connections = 10
	var callers sync.WaitGroup
	errs := make([]error, waitingRequests)
	request := echo("cold", waitingBytes)
	for i := range connections {
		client := m.grpcClient()
		for k := i; k < waitingRequests; k += connections {
			callers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 4*patience) // They carry 2.4 GiB.
				defer cancel()
				response, err := client.ModelInfer(ctx, request)
				if err == nil && len(response.GetRawOutputContents()[0]) != waitingBytes {
					err = fmt.Errorf("answer of %d bytes", len(response.GetRawOutputContents()[0]))
				}
				errs[k] = err
			})
		}
	}
	callers.Wait()
	return errs
}

func residentBytes(t *testing.T, pid int) int64 {
	content, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Errorf("read memory of the host: %v", err)
		return 0
	}
	for line := range bytes.Lines(content) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
			fields := bytes.Fields(rest)
			kib, _ := strconv.ParseInt(string(fields[0]), 10, 64)
			return kib << 10
		}
	}
	return 0
}
