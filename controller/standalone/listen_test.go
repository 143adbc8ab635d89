package standalone

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func wantPrivate(t *testing.T, socket string) {
	t.Helper()
	if info, err := os.Stat(socket); err != nil || info.Mode().Type() != os.ModeSocket || info.Mode().Perm() != 0o600 {
		t.Errorf("socket %v, error %v", info, err)
	}
}

// leaveSocket is what a controller that was killed leaves.
func leaveSocket(t *testing.T, path string) {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
}

// Hosts are given credentials over a socket that nobody else may open, in the data directory unless told otherwise.
func TestSyncOverUnixSocket(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "s.sock")
	for name, address := range map[string]string{"default": "", "path": "unix:" + elsewhere, "url": "unix://" + elsewhere} {
		t.Run(name, func(t *testing.T) {
			m := newMesh(t)
			m.syncAddress = address
			m.write("isvc.yaml", isvcYAML("digits", "one"))
			socket := elsewhere
			if address == "" {
				socket = filepath.Join(m.data, runFolder, syncSocketFile)
			} else {
				leaveSocket(t, socket)
			}
			m.start()
			if m.sync != "unix:"+socket {
				t.Errorf("the log says %s, want unix:%s", m.sync, socket)
			}
			wantPrivate(t, socket)
			host := newHost(t)
			host.connect(m.sync)
			m.await("digits", "loaded", loaded)
			if got := string(host.credentialsAfter()["localMinIO"]); got != `{"type": "s3"}` {
				t.Errorf("credentials %q", got)
			}
			m.stop()
			if _, err := os.Lstat(socket); !os.IsNotExist(err) {
				t.Errorf("the socket is left behind: %v", err)
			}
		})
	}
}

// The path may be anywhere, so nothing but a dead socket is removed for it.
func TestListenUnixTakesNothingAway(t *testing.T) {
	folder := t.TempDir()
	file, used := filepath.Join(folder, "notes"), filepath.Join(folder, "used")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := listenSync("unix:" + used)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	for path, want := range map[string]string{file: "no socket", used: "another process listens"} {
		if _, err := listenSync("unix:" + path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("listen on %s: error %v, want one with %q", path, err, want)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
}
