package main_test

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/test/installed"
)

const modelName = "example-sklearn-isvc__isvc-3642375d03"

func TestAnswersAndEndsInOrder(t *testing.T) {
	q := start(t)
	said := q.readUntil(t, "The mesh stays up")

	if n := strings.Count(said, "in another terminal"); n != 1 {
		t.Errorf("%d times what to type in another terminal, want once:\n%s", n, said)
	}
	var rest struct {
		ModelName string `json:"model_name"`
		Outputs   []struct {
			Name string    `json:"name"`
			Data []float64 `json:"data"`
		} `json:"outputs"`
	}
	decodeAfter(t, said, "REST answer", &rest)
	if rest.ModelName != modelName || len(rest.Outputs) != 1 || rest.Outputs[0].Name != "predict" ||
		len(rest.Outputs[0].Data) != 1 || rest.Outputs[0].Data[0] != 8 {
		t.Errorf("REST answer %+v, want predict = 8 of %s", rest, modelName)
	}
	var grpc struct {
		ModelName string `json:"modelName"`
		Outputs   []struct {
			Name     string `json:"name"`
			Contents struct {
				Int64Contents []string `json:"int64Contents"`
			} `json:"contents"`
		} `json:"outputs"`
	}
	decodeAfter(t, said, "gRPC answer", &grpc)
	if grpc.ModelName != modelName || len(grpc.Outputs) != 1 || grpc.Outputs[0].Name != "predict" ||
		len(grpc.Outputs[0].Contents.Int64Contents) != 1 || grpc.Outputs[0].Contents.Int64Contents[0] != "8" {
		t.Errorf("gRPC answer %+v, want predict = 8 of %s", grpc, modelName)
	}

	// The S3 server, `wasmesh up`, the controller, a host and MLServer.
	children := descendants(t, q.cmd.Process.Pid)
	if len(children) < 5 {
		t.Errorf("%d processes below the quickstart, want at least 5", len(children))
	}
	if err := q.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		for q.output.Scan() { // Wait wants its output read
		}
		ended <- q.cmd.Wait()
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("exit after an interrupt: %v, want 0", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("still there 10 s after an interrupt")
	}
	for _, pid := range children {
		if alive(pid) {
			t.Errorf("process %d is left after the end", pid)
		}
	}
}

func TestKilledLeavesNoProcess(t *testing.T) {
	q := start(t)
	q.readUntil(t, "The mesh stays up")
	children := descendants(t, q.cmd.Process.Pid)
	if err := q.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = q.cmd.Wait() // killed
	deadline := time.Now().Add(10 * time.Second)
	for _, pid := range children {
		for alive(pid) {
			if time.Now().After(deadline) {
				t.Fatalf("process %d outlived the killed quickstart by 10 s", pid)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func TestSaysThatAPortIsTaken(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address := listener.Addr().String()
	cmd := exec.Command(installed.Program(t, "quickstart"), "-s3-address", address, "-data-dir", t.TempDir())
	cmd.Dir = installed.Root(t)
	output, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(output), address+" is taken") {
		t.Errorf("exit %v, want a failure that says that %s is taken:\n%s", err, address, output)
	}
	if strings.Contains(string(output), "S3 server: http") || !strings.Contains(string(output), `make quickstart ARGS="-s3-address`) {
		t.Errorf("it says that the server is there, or not what to do:\n%s", output)
	}
}

// quickstart is a running program of this folder, on free ports and a data directory of its own.
type quickstart struct {
	cmd    *exec.Cmd
	output *bufio.Scanner
}

func start(t *testing.T) *quickstart {
	t.Helper()
	root := installed.Root(t)
	installed.SampleModels(t)
	installed.RuntimesDir(t, "mlserver")
	s3Address := freeAddress(t)
	cmd := exec.Command(installed.Program(t, "quickstart"), "-f", source(t, root, s3Address), "-data-dir", t.TempDir(),
		"-s3-address", s3Address, "-grpc-address", freeAddress(t), "-rest-address", freeAddress(t))
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // after a failure; its children go with it
		_ = cmd.Wait()
	})
	return &quickstart{cmd: cmd, output: bufio.NewScanner(out)}
}

// readUntil answers what the program says up to the line that begins with mark.
func (q *quickstart) readUntil(t *testing.T, mark string) string {
	t.Helper()
	var said strings.Builder
	for q.output.Scan() {
		if strings.HasPrefix(q.output.Text(), mark) {
			return said.String()
		}
		said.WriteString(q.output.Text() + "\n")
	}
	t.Fatalf("the program ended before it said %q:\n%s", mark, said.String())
	return ""
}

// source copies the quickstart's objects, with another address of the S3 server.
func source(t *testing.T, root, s3Address string) string {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob(filepath.Join(root, "docs/examples/quickstart/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no quickstart objects: %v", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.ReplaceAll(string(content), "127.0.0.1:9000", s3Address)
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), []byte(changed), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// decodeAfter decodes the JSON that follows the line that begins with title.
func decodeAfter(t *testing.T, said, title string, into any) {
	t.Helper()
	_, rest, found := strings.Cut(said, "\n"+title)
	if !found {
		t.Fatalf("no %s:\n%s", title, said)
	}
	_, rest, _ = strings.Cut(rest, "\n")
	if err := json.NewDecoder(strings.NewReader(rest)).Decode(into); err != nil {
		t.Fatalf("%s: %v:\n%s", title, err, rest)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// descendants are the processes below pid.
func descendants(t *testing.T, pid int) []int {
	t.Helper()
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	children := map[int][]int{}
	for _, entry := range entries {
		if _, parent, ok := stat(entry); ok {
			child, _ := strconv.Atoi(filepath.Base(entry)) // digits by the pattern
			children[parent] = append(children[parent], child)
		}
	}
	var all []int
	for next := children[pid]; len(next) > 0; next = next[1:] {
		all = append(all, next[0])
		next = append(next, children[next[0]]...)
	}
	return all
}

// alive says whether a process runs; a zombie does not.
func alive(pid int) bool {
	state, _, ok := stat("/proc/" + strconv.Itoa(pid))
	return ok && state != "Z" && syscall.Kill(pid, 0) == nil
}

// stat reads a process's state and parent; the name before them may hold spaces and parentheses (man proc_pid_stat).
func stat(dir string) (state string, parent int, ok bool) {
	content, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return "", 0, false
	}
	fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
	if len(fields) < 2 {
		return "", 0, false
	}
	parent, err = strconv.Atoi(fields[1])
	return fields[0], parent, err == nil
}
