package standalone

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Sockets below the run folder.
const (
	socketFile     = "admin.sock"
	syncSocketFile = "sync.sock"
)

// unixScheme begins the address of a unix socket, as gRPC spells it.
const unixScheme = "unix:"

// endpoints are the listeners: for hosts and for operators.
type endpoints struct {
	sync, admin net.Listener
}

func listen(config Config) (*endpoints, error) {
	folder, err := filepath.Abs(filepath.Join(config.DataDir, runFolder))
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	address := config.SyncAddress
	if address == "" {
		address = unixScheme + filepath.Join(folder, syncSocketFile)
	}
	e := &endpoints{}
	if e.sync, err = listenSync(address); err != nil {
		return nil, fmt.Errorf("listen for hosts: %w", err)
	}
	if e.admin, err = listenUnix(filepath.Join(folder, socketFile)); err != nil {
		_ = e.sync.Close()
		return nil, fmt.Errorf("listen for operators: %w", err)
	}
	return e, nil
}

// syncTarget is what hosts dial, in gRPC's spelling.
func (e *endpoints) syncTarget() string {
	if e.sync.Addr().Network() == "unix" {
		return unixScheme + e.sync.Addr().String()
	}
	return e.sync.Addr().String()
}

// close also removes the sockets; closing twice does no harm.
func (e *endpoints) close() {
	_ = e.sync.Close()
	_ = e.admin.Close()
}

// listenSync takes host:port, unix:PATH or unix:///PATH. Whoever can connect is given storage credentials: that is the
// owner of a unix socket, and every user of the machine when the address is one of its loopback.
func listenSync(address string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(address, unixScheme)
	if !isUnix {
		return net.Listen("tcp", address)
	}
	path, err := filepath.Abs(strings.TrimPrefix(path, "//"))
	if err != nil {
		return nil, err
	}
	return listenUnix(path)
}

// maxSocketPath is what Linux allows for the path of a unix socket (sun_path of unix(7), less the final zero).
const maxSocketPath = 107

// listenUnix makes a socket that only its owner may connect to; closing the listener removes it. It takes the place of a
// socket that a controller left when it died.
func listenUnix(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("the path %s has %d bytes and a unix socket may have %d: "+
			"choose a data directory with a shorter path", path, len(path), maxSocketPath)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	// Linux makes the socket's file with the mode of the descriptor, so that there is no moment at which others could
	// connect. Elsewhere that may be refused, and the mode set below is the first.
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) })
	}}
	listener, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = listener.Close()
		return nil, err
	}
	return listener, nil
}

// removeStale removes a socket on which nobody listens. The lock on the state says that for the data directory; the
// socket may be elsewhere, where a controller of another data directory, or a file of the user, could be in the way.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is in the way and no socket: remove it, or choose another path", path)
	}
	if conn, err := net.Dial("unix", path); err == nil {
		_ = conn.Close()
		return fmt.Errorf("another process listens on %s: stop it, or choose another path", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove what a former controller left: %w", err)
	}
	return nil
}
