package cluster_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/wasmesh/wasmesh/test/cluster"
	"github.com/wasmesh/wasmesh/test/cluster/node"
)

// holdEnv has the test binary be the first process of a node, as far as anybody outside can see.
const holdEnv = "CLUSTER_TEST_HOLD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(holdEnv); dir != "" {
		hold(dir)
	}
	os.Exit(m.Run())
}

// hold locks the directory, says so, and waits to be killed.
func hold(dir string) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err == nil {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX)
	}
	if err == nil {
		_, err = file.WriteString(strconv.Itoa(os.Getpid()) + "\n")
	}
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString("held\n")
	_, _ = io.Copy(io.Discard, os.Stdin) // ends with the test
	os.Exit(0)
}

func at(t *testing.T, dir string) *cluster.Cluster {
	t.Helper()
	c, err := cluster.At(node.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// startHolder has a node in a directory of its own, which is never ready.
func startHolder(t *testing.T) (holder *exec.Cmd, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "cluster")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	holder = exec.Command(os.Args[0])
	holder.Env = append(os.Environ(), holdEnv+"="+dir)
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holder.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return holder, dir
}

// Who gives up waiting for a cluster that somebody else brings up leaves it to them.
func TestUpThatGivesUpEndsNobodyElsesNode(t *testing.T) {
	holder, dir := startHolder(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if started, err := at(t, dir).Up(ctx); started || !errors.Is(err, context.Canceled) {
		t.Errorf("started %v, error %v", started, err)
	}
	lock, err := os.Open(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	lock.Close() // Or Down would take this test for the node.
	if !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("the node has gone: its lock is free (%v)", err)
	}
	if err := at(t, dir).Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait() // It was killed.
}

func TestDownEndsTheNodeAndRemovesItsFiles(t *testing.T) {
	holder, dir := startHolder(t)
	if err := at(t, dir).Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := holder.Wait(); err == nil || holder.ProcessState.Success() {
		t.Errorf("the node ended by itself (%v), want it killed", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its directory is still there: %v", err)
	}
}

// The lock of a node that died is free, and its process id may be another process's by now: here it is our own.
func TestDownOfADeadNodeEndsNobody(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cluster")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "lock"), []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds nothing at all
		if err := at(t, dir).Down(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("its directory is still there: %v", err)
		}
	}
}

func TestUseOfAClusterThatIsDown(t *testing.T) {
	c := at(t, filepath.Join(t.TempDir(), "cluster"))
	_, restErr := c.Rest()
	_, commandErr := c.Command(t.Context(), "true")
	_, dialErr := c.Dial(t.Context(), "tcp", "10.96.0.1:443")
	for call, err := range map[string]error{
		"Rest": restErr, "Command": commandErr, "Dial": dialErr, "Load": c.Load(t.Context(), "image.tar"),
	} {
		if !errors.Is(err, cluster.ErrDown) {
			t.Errorf("%s answers %v, want ErrDown", call, err)
		}
	}
}

// The node sees files of its own there, so that nothing it writes would reach those outside.
func TestDirectoriesThatTheNodeShadowsAreRefused(t *testing.T) {
	for _, shadowed := range node.Shadowed {
		if _, err := cluster.At(node.Config{Dir: shadowed + "/cluster"}); err == nil {
			t.Errorf("a directory in %s is taken", shadowed)
		}
	}
}
