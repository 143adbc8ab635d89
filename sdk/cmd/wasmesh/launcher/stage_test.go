package launcher

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// patience bounds waits that only a defect makes long.
const patience = time.Minute

// stage is where the programs of one mesh say what they do.
type stage struct {
	t      *testing.T
	config Config
	plan   string
	output *lines
	events chan message
	// seen are the events that the test has taken, in order.
	seen []message

	mu sync.Mutex // guards below
	// held are the names of programs that get no leave to end until the test gives it.
	held map[string]chan struct{}
}

// newStage lays out programs and directories; short paths, since one of them is a socket's.
func newStage(t *testing.T) *stage {
	t.Helper()
	root, err := os.MkdirTemp("", "wm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	s := &stage{
		t: t, plan: filepath.Join(root, "plan"), output: &lines{}, events: make(chan message, 1000),
		held: make(map[string]chan struct{}),
	}
	bin := filepath.Join(root, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{launcherProgram, controllerProgram, hostProgram, runtimeProgram} {
		if err := os.Symlink(self, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	ip := loopback()
	s.config = Config{
		Sources: []string{root}, DataDir: filepath.Join(root, "data"), HostsPerRuntime: 1, BinDir: bin,
		GRPCAddress: ip + ":8033", RESTAddress: ip + ":8008",
	}
	listener, err := net.Listen("unix", filepath.Join(root, "stage"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go s.accept(listener)
	t.Setenv(stageEnv, listener.Addr().String())
	t.Setenv(planEnv, s.plan)
	t.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector lets a process linger for a second
	return s
}

// loopback answers an address of this machine that nobody else uses, so that all of its ports are free.
func loopback() string {
	return fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(255), 1+rand.IntN(254))
}

func (s *stage) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return // the test has ended
		}
		go s.listen(conn)
	}
}

// listen passes on what one program says, and, last, that it is gone: the kernel closes its end, however it died.
func (s *stage) listen(conn net.Conn) {
	defer conn.Close()
	in := json.NewDecoder(conn)
	var last message
	for {
		var m message
		if err := in.Decode(&m); err != nil {
			last.Event = "gone"
			s.events <- last
			return
		}
		last = m
		s.events <- m
		if m.Event == "ending" {
			s.mu.Lock()
			held := s.held[m.Name]
			s.mu.Unlock()
			if held != nil {
				<-held
			}
			_, _ = conn.Write([]byte("\n")) // one that was killed does not read it
		}
	}
}

// hold keeps the program from ending until release is called.
func (s *stage) hold(name string) (release func()) {
	held := make(chan struct{})
	s.mu.Lock()
	s.held[name] = held
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		delete(s.held, name)
		s.mu.Unlock()
		close(held)
	}
}

// await takes events until that one has come.
func (s *stage) await(event, name string) message {
	s.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case m := <-s.events:
			s.seen = append(s.seen, m)
			if m.Event == event && m.Name == name {
				return m
			}
		case <-timeout:
			s.t.Fatalf("%s never was %s; events: %v; progress:\n%s", name, event, s.seen, s.output)
		}
	}
}

// awaitAll takes events until each name has had that one, in any order.
func (s *stage) awaitAll(event string, names ...string) map[string]message {
	s.t.Helper()
	found := make(map[string]message)
	timeout := time.After(patience)
	for len(found) < len(names) {
		select {
		case m := <-s.events:
			s.seen = append(s.seen, m)
			for _, name := range names {
				if m.Event == event && m.Name == name {
					found[name] = m
				}
			}
		case <-timeout:
			s.t.Fatalf("%s: only %v; events: %v; progress:\n%s", event, found, s.seen, s.output)
		}
	}
	return found
}

// rest takes the events that have come.
func (s *stage) rest() []message {
	for {
		select {
		case m := <-s.events:
			s.seen = append(s.seen, m)
		default:
			return s.seen
		}
	}
}

// position of the first such event among those taken; -1 for none.
func (s *stage) position(event, name string) int {
	for i, m := range s.rest() {
		if m.Event == event && m.Name == name {
			return i
		}
	}
	return -1
}

// write puts a plan where the controller reads it.
func (s *stage) write(plan ...*adminv1.RuntimePlan) {
	s.t.Helper()
	content, err := protojson.Marshal(&adminv1.WatchPlanResponse{Runtimes: plan})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.plan, content, 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// change writes a plan and makes the controller send it.
func (s *stage) change(controller message, plan ...*adminv1.RuntimePlan) {
	s.t.Helper()
	s.write(plan...)
	if err := syscall.Kill(controller.PID, syscall.SIGHUP); err != nil {
		s.t.Fatal(err)
	}
}

// kill ends a program as a crash does.
func (s *stage) kill(m message) {
	s.t.Helper()
	if err := syscall.Kill(m.PID, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
}

// running is one Up.
type running struct {
	t      *testing.T
	cancel context.CancelFunc
	ended  chan error
}

// up runs the launcher; when the test ends, so does it.
func (s *stage) up() *running {
	ctx, cancel := context.WithCancel(s.t.Context())
	r := &running{t: s.t, cancel: cancel, ended: make(chan error, 1)}
	s.config.Progress, s.config.Logger = s.output, slog.New(slog.NewTextHandler(s.output, nil))
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		r.ended <- Up(ctx, s.config)
	}()
	s.t.Cleanup(func() {
		cancel()
		<-finished
	})
	return r
}

// end waits for the end of Up.
func (r *running) end() error {
	r.t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(patience):
		r.t.Fatal("Up did not end")
		return nil
	}
}

// lines collects what Up says.
type lines struct {
	mu      sync.Mutex // guards below
	text    bytes.Buffer
	changed chan struct{} // closed by the next Write
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// await waits for a line with all the words and answers it.
func (l *lines) await(t *testing.T, words ...string) string {
	t.Helper()
	timeout := time.After(patience)
	for {
		l.mu.Lock()
		text := l.text.String()
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.mu.Unlock()
		for line := range strings.Lines(text) {
			if containsAll(line, words) {
				return line
			}
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("no line with %q in:\n%s", words, text)
		}
	}
}

func containsAll(text string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// fakePlan is a ServingRuntime of the fake server type that some model needs.
func fakePlan(name string) *adminv1.RuntimePlan {
	return &adminv1.RuntimePlan{
		Namespace: "default", Name: name, ServerType: "fake", Needed: true,
		CapacityBytes: 1 << 20, MaxLoadingConcurrency: 1, ModelLoadingTimeoutMs: 1000,
	}
}
