package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func step(copies, moved, stranded uint32, closing bool) *adminv1.DrainHostResponse {
	return &adminv1.DrainHostResponse{Draining: &syncv1.Draining{Copies: copies, Moved: moved, Stranded: stranded, Closing: closing}}
}

func left(last *adminv1.DrainHostResponse) *adminv1.DrainHostResponse {
	return &adminv1.DrainHostResponse{Draining: last.Draining, Left: true}
}

func TestDrainTellsHowFarItIs(t *testing.T) {
	m := digits()
	last := step(3, 2, 1, true)
	m.drains = []*adminv1.DrainHostResponse{step(3, 0, 0, false), step(3, 0, 0, false), step(3, 2, 1, false), last, left(last)}
	m.hosts = append(m.hosts, beside(m.hosts[1], "default", "mlserver-1.x"))
	m.serve(t)
	out, _, err := m.run(t, "drain", "mlserver-1.x-0", "--timeout", "90s")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"host mlserver-1.x-0 hands over: 0 of 3 copies are elsewhere",
		"host mlserver-1.x-0 hands over: 2 of 3 copies are elsewhere, 1 found no other host yet",
		"host mlserver-1.x-0 is not ready any more: it serves on while clients look for other hosts, then finishes what it has",
		"host mlserver-1.x-0 has left after",
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != len(want) {
		t.Fatalf("printed:\n%swant %d lines", out, len(want))
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, want[i]) || i < len(want)-1 && line != want[i] {
			t.Errorf("line %d is %q, want %q", i+1, line, want[i])
		}
	}
	if !strings.Contains(lines[3], "1 of the 3 copies that were in use on it had not been loaded elsewhere") {
		t.Errorf("the last line does not tell of the copy that nobody took: %q", lines[3])
	}
	if r := m.drained.Load(); r.GetHostId() != "mlserver-1.x-0" || r.GetTimeoutMs() != 90_000 {
		t.Errorf("asked %v", r)
	}
}

func TestDrainSaysWhatWentWrong(t *testing.T) {
	m := digits()
	m.drains, m.drainErr = []*adminv1.DrainHostResponse{step(1, 0, 0, false)}, status.Error(codes.Aborted, "host h ended before")
	m.serve(t)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"drain", "h"}, "host h ended before"},
		{[]string{"drain"}, "say which host is to leave"},
		{[]string{"drain", "a", "b"}, "say which host is to leave"},
		{[]string{"drain", "h", "--timeout", "-1s"}, "must not be negative"},
	} {
		if _, _, err := m.run(t, test.args...); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: %v, want %q", test.args, err, test.want)
		}
	}
}

// life is what the controller says of a host in one of its lives.
func life(epoch uint64, connected bool, draining *syncv1.Draining) []*host {
	return []*host{{Hello: &syncv1.Hello{Namespace: "default", HostId: "h", Epoch: epoch}, Connected: connected, Draining: draining}}
}

// TestDrainOutlivesTheController: it is the host that drains. Who follows it does so through the next controller, and does
// not ask that one, lest the next host of that name leave too.
func TestDrainOutlivesTheController(t *testing.T) {
	half, all, closing := step(2, 1, 0, false), step(2, 2, 0, false).Draining, step(2, 2, 0, true).Draining
	for _, test := range []struct {
		name  string
		after [][]*host
		want  string
		err   string
	}{
		{"until it has left", [][]*host{nil, life(4, true, nil), life(4, true, all), life(4, true, closing), life(4, false, closing)},
			"1 of 2 copies|2 of 2 copies|is not ready any more|has left after", ""},
		{"until the next one is there", [][]*host{life(4, true, closing), life(5, true, nil)},
			"1 of 2 copies|is not ready any more|has left after", ""},
		{"until it crashed", [][]*host{life(4, true, all), life(5, true, nil)},
			"1 of 2 copies|2 of 2 copies", "started again, before its copies were elsewhere"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := digits()
			m.looks = append([][]*host{life(4, true, nil)}, test.after...)
			m.drains, m.drainErr = []*adminv1.DrainHostResponse{half}, status.Error(codes.Unavailable, "gone")
			m.serve(t)
			out, _, err := m.run(t, "drain", "h")
			if (test.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want %q", err, test.err)
			}
			lines, want := strings.Split(strings.TrimSpace(out), "\n"), strings.Split(test.want, "|")
			if len(lines) != len(want) {
				t.Fatalf("printed:\n%swant %d lines", out, len(want))
			}
			for i, words := range want {
				if !strings.Contains(lines[i], words) {
					t.Errorf("line %d is %q, want %q in it", i+1, lines[i], words)
				}
			}
		})
	}
}

func TestDrainTimeoutIsNotRoundedToTheHostsOwn(t *testing.T) {
	for timeout, want := range map[time.Duration]int64{0: 0, time.Nanosecond: 1, time.Millisecond: 1, 1500 * time.Microsecond: 2, time.Hour: 3_600_000} {
		if got := millis(timeout); got != want {
			t.Errorf("%s is sent as %d ms, want %d", timeout, got, want)
		}
	}
}

// TestDrainOfAHostWithoutCopies says nothing of a number of copies.
func TestDrainOfAHostWithoutCopies(t *testing.T) {
	if line := drainLine(&syncv1.Draining{}); strings.Contains(line, "0") {
		t.Errorf("a host without copies %s", line)
	}
}

// cancelAt cancels once something with those words has been written.
type cancelAt struct {
	bytes.Buffer
	words  string
	cancel func()
}

func (c *cancelAt) Write(p []byte) (int, error) {
	n, err := c.Buffer.Write(p)
	if strings.Contains(c.String(), c.words) {
		c.cancel()
	}
	return n, err
}

func TestInterruptedDrainGoesOn(t *testing.T) {
	m := digits()
	m.drains = []*adminv1.DrainHostResponse{step(2, 1, 0, false)}
	m.serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &cancelAt{words: "1 of 2", cancel: cancel}
	err := Run(ctx, []string{"wasmesh", "drain", "h", "--data-dir", m.dataDir}, Streams{Out: out, Err: &bytes.Buffer{}})
	if err == nil || !strings.Contains(err.Error(), "goes on draining") {
		t.Errorf("interrupted: %v, want that the host goes on", err)
	}
}

func TestGetHostsShowsWhoLeaves(t *testing.T) {
	m := digits()
	m.hosts[0].Draining = &syncv1.Draining{Copies: 3, Moved: 1, Stranded: 1}
	m.hosts[0].Hello.Zone, m.hosts[0].Hello.PeerAddress = "a", "127.0.0.1:8080"
	m.hosts[1].Draining = &syncv1.Draining{Closing: true}
	gone := &host{Hello: &syncv1.Hello{HostId: "gone", Namespace: "default"}, Draining: &syncv1.Draining{Closing: true}}
	gateway := &host{Hello: &syncv1.Hello{HostId: "gateway-0", Namespace: "default", Gateway: true}, Connected: true, RuntimeMessage: "requests wait: 1 for r"}
	m.hosts = append(m.hosts, gone, gateway)
	m.serve(t)
	out, _, err := m.run(t, "get", "hosts", "-o", "wide")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		"HOST RUNTIME ZONE STATUS", "fake-0 fake a Draining(1/3)", "mlserver-1.x-0 mlserver-1.x <none> Closing",
		"gone <none> <none> Left", "gateway-0 <none> <none> Ready",
	} {
		if got := rows(out); i >= len(got) || !strings.HasPrefix(got[i], want) {
			t.Fatalf("table:\n%swant row %d to begin with %q", out, i, want)
		}
	}
	if line := rows(out)[3]; strings.Contains(line, "serves on") {
		t.Errorf("a host that has left: %s", line)
	}
	for _, want := range []string{"hands over: 1 of 3 copies are elsewhere, 1 found no other host yet", "requests wait: 1 for r", "127.0.0.1:8080"} {
		if !strings.Contains(out, want) {
			t.Errorf("table:\n%swant %q in it", out, want)
		}
	}
}

func TestGetModelsShowsCopiesByHost(t *testing.T) {
	m := digits()
	one := m.models[0]
	one.Model.Knobs = &syncv1.Knobs{MinCopies: 2, MaxCopies: 4, Pinned: true, IdleTtlMs: 90_000, Priority: -3}
	one.AnnotationFaults = []string{"annotation x is bad"}
	one.Copies[0].Copy.InFlight, one.Copies[0].Copy.Waiting, one.Copies[0].Copy.MaxConcurrency = 8, 3, 8
	one.Copies = append(one.Copies, &adminv1.ListModelsResponse_Copy{HostId: "fake-0", Copy: &syncv1.Copy{
		State: syncv1.CopyState_COPY_STATE_LOADING, Waiting: 4,
	}})
	for i, id := range []string{"a-0", "a-1"} {
		one.Copies = append(one.Copies, &adminv1.ListModelsResponse_Copy{HostId: id, Copy: &syncv1.Copy{
			State:   syncv1.CopyState_COPY_STATE_FAILED,
			Failure: &syncv1.Failure{Message: "failure " + id, TimeMs: int64(i + 1)},
		}})
	}
	m.serve(t)
	out, _, err := m.run(t, "get", "models", "-o", "wide")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, "a-1: failure a-1") || strings.Contains(out, "failure a-0") {
		t.Errorf("table:\n%swant the newest failure, and where", out)
	}
	if narrow, _, err := m.run(t, "get", "models"); err != nil || strings.Contains(narrow, "a-0") {
		t.Errorf("table, %v:\n%swant no host where it has failed", err, narrow)
	}
	const head = "COPIES-BY-HOST IN-FLIGHT WAITING MIN MAX PIN IDLE-TTL PRIORITY MAX-CONCURRENCY FORMAT"
	const row = "a-0=Failed,a-1=Failed,fake-0=Loading,mlserver-1.x-0=Loaded 8 7 2 4 true 1m30s -3 8 sklearn"
	if got := rows(out); !strings.Contains(got[0], head) || !strings.Contains(got[1], row) || !strings.Contains(got[1], "annotation x is bad") {
		t.Errorf("table:\n%swant %q and %q", out, head, row)
	}
	one.Model.Knobs, one.Copies = nil, nil
	out, _, err = m.run(t, "get", "models", "-o", "wide")
	if want := "<none> 0 0 0 <none> false <none> 0 <none> sklearn"; err != nil || !strings.Contains(rows(out)[1], want) {
		t.Errorf("without copies and wishes, %v:\n%swant %q", err, out, want)
	}
	out, _, err = m.run(t, "describe", "isvc", "digits")
	if err != nil || !strings.Contains(out, "Annotations that are not followed:\n  annotation x is bad\n") {
		t.Errorf("describe, %v:\n%s", err, out)
	}
}
