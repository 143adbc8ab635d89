package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/test/installed"
)

// patience bounds every wait of these tests; a machine under load is slow, and only a defect takes this long.
const patience = 45 * time.Second

// mesh is one `wasmesh up` of a test.
type mesh struct {
	t *testing.T
	// sources is the directory of YAML files, data the data directory.
	sources, data string
	grpc, rest    string
	command       *exec.Cmd
	output        *lockedBuffer
	ended         chan struct{}
}

// up starts a mesh over the given YAML files, keyed by file name, and stops it when the test ends.
func up(t *testing.T, files map[string]string, args ...string) *mesh {
	t.Helper()
	m := &mesh{t: t, sources: t.TempDir(), data: t.TempDir(), output: &lockedBuffer{}, ended: make(chan struct{})}
	for name, content := range files {
		m.write(name, content)
	}
	address := ownLoopback()
	m.grpc, m.rest = address+":8033", address+":8008"
	m.command = exec.Command(installed.Program(t, "wasmesh"), append([]string{
		"up", "-f", m.sources, "--data-dir", m.data, "--grpc-address", m.grpc, "--rest-address", m.rest,
	}, args...)...)
	m.command.Stdout, m.command.Stderr = m.output, m.output
	m.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := m.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = m.command.Wait()
		close(m.ended)
	}()
	t.Cleanup(func() {
		m.stop()
		if t.Failed() {
			t.Logf("output of wasmesh up:\n%s", m.output)
			m.dumpLogs()
		}
	})
	return m
}

// in is the same mesh, seen from a subtest.
func (m *mesh) in(t *testing.T) *mesh {
	seen := *m
	seen.t = t
	return &seen
}

// write puts one YAML file in place, as an editor does: whole.
func (m *mesh) write(name, content string) {
	m.t.Helper()
	temporary := filepath.Join(m.data, name+".tmp")
	if err := os.WriteFile(temporary, []byte(content), 0o644); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(temporary, filepath.Join(m.sources, name)); err != nil {
		m.t.Fatal(err)
	}
}

// stop ends the mesh as Ctrl-C does and answers how long that took.
func (m *mesh) stop() time.Duration {
	started := time.Now()
	_ = m.command.Process.Signal(syscall.SIGINT)
	select {
	case <-m.ended:
	case <-time.After(patience):
		_ = m.command.Process.Kill()
		<-m.ended
		m.t.Errorf("wasmesh up did not end within %v of an interrupt", patience)
	}
	return time.Since(started)
}

func (m *mesh) dumpLogs() {
	logs, _ := filepath.Glob(filepath.Join(m.data, "logs", "*.log"))
	for _, path := range logs {
		content, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		lines := bytes.Split(bytes.TrimSpace(content), []byte("\n"))
		if len(lines) > 60 {
			lines = lines[len(lines)-60:]
		}
		m.t.Logf("end of %s:\n%s", filepath.Base(path), bytes.Join(lines, []byte("\n")))
	}
}

// run runs the wasmesh command line against this mesh and answers its standard output.
func (m *mesh) run(args ...string) (string, error) {
	out, errs, err := m.wasmesh(args...)
	if err != nil {
		return out, fmt.Errorf("wasmesh %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs))
	}
	return out, nil
}

// warnings answers what `wasmesh get isvc` says of files that it cannot read.
func (m *mesh) warnings() (string, error) {
	_, errs, err := m.wasmesh("get", "isvc")
	return errs, err
}

func (m *mesh) wasmesh(args ...string) (out, errs string, err error) {
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, installed.Program(m.t, "wasmesh"), append(args, "--data-dir", m.data)...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err = command.Run()
	return stdout.String(), stderr.String(), err
}

// service is what these tests read of an InferenceService.
type service struct {
	Metadata struct{ Name string }
	Status   struct {
		URL         string
		ModelStatus struct {
			TransitionStatus string
			States           struct{ ActiveModelState, TargetModelState string }
			Copies           struct{ FailedCopies, TotalCopies int }
			LastFailureInfo  *struct{ Location, Reason, Message, ModelRevisionName, Time string }
		}
		Conditions []struct{ Type, Status, Reason, Message, LastTransitionTime string }
	}
}

func (s service) String() string {
	content, _ := json.MarshalIndent(s, "", "  ")
	return string(content)
}

func (s service) active() string { return s.Status.ModelStatus.States.ActiveModelState }
func (s service) target() string { return s.Status.ModelStatus.States.TargetModelState }

func (s service) failure() (reason, message string) {
	if info := s.Status.ModelStatus.LastFailureInfo; info != nil {
		return info.Reason, info.Message
	}
	return "", ""
}

func (m *mesh) service(name string) (service, error) {
	var s service
	out, err := m.run("get", "isvc", name, "-o", "json")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal([]byte(out), &s)
}

// until waits for the InferenceService to be as wanted and answers it.
func (m *mesh) until(name, what string, wanted func(service) bool) service {
	m.t.Helper()
	var s service
	m.eventually(name+" "+what, func() error {
		var err error
		if s, err = m.service(name); err != nil {
			return err
		}
		if !wanted(s) {
			return fmt.Errorf("it is %s", s)
		}
		return nil
	})
	return s
}

func (m *mesh) untilLoaded(name string) {
	m.t.Helper()
	m.until(name, "is loaded", func(s service) bool { return s.active() == "Loaded" })
}

// eventually repeats the check until it holds.
func (m *mesh) eventually(what string, check func() error) {
	m.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("not within %v: %s: %v", patience, what, err)
		}
		select {
		case <-m.ended:
			m.t.Fatalf("wasmesh up ended while waiting: %s: %v", what, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// record is what the launcher writes of one process.
type record struct {
	Name  string
	PID   int
	Ports map[string]string
}

func (m *mesh) records() map[string]record {
	m.t.Helper()
	files, err := filepath.Glob(filepath.Join(m.data, "run", "*.json"))
	if err != nil {
		m.t.Fatal(err)
	}
	records := make(map[string]record)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		var r record
		if json.Unmarshal(content, &r) == nil && r.PID != 0 {
			records[strings.TrimSuffix(filepath.Base(file), ".json")] = r
		}
	}
	return records
}

// process waits for a process of that name and answers its record.
func (m *mesh) process(name string) record {
	m.t.Helper()
	var r record
	m.eventually("process "+name+" runs", func() error {
		var ok bool
		if r, ok = m.records()[name]; !ok || !alive(r.PID) {
			return fmt.Errorf("have %v", m.records())
		}
		return nil
	})
	return r
}

// kill ends a process as a crash does and answers the process id that it had.
func (m *mesh) kill(name string) int {
	m.t.Helper()
	r := m.process(name)
	if err := syscall.Kill(r.PID, syscall.SIGKILL); err != nil {
		m.t.Fatalf("kill %s: %v", name, err)
	}
	return r.PID
}

// alive reports whether the process exists and is not a zombie.
func alive(pid int) bool {
	content, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	after := content[bytes.LastIndexByte(content, ')')+1:]
	fields := bytes.Fields(after)
	return len(fields) > 0 && string(fields[0]) != "Z"
}

// loopbacks counts the loopback addresses given out by this process.
var loopbacks atomic.Uint32

// ownLoopback is an address of 127.0.0.0/8 that no other mesh of this test process uses, so that every mesh can have
// ModelMesh's own ports, and no connection that happens to be open takes one of them.
func ownLoopback() string {
	pid, n := os.Getpid(), loopbacks.Add(1)
	return fmt.Sprintf("127.%d.%d.%d", 1+pid%250, 1+pid/250%250, n)
}

// lockedBuffer collects output of a child while the test reads it.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
