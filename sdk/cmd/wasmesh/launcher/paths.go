package launcher

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
)

// Paths is the layout of a data directory.
type Paths struct {
	// Root is absolute.
	Root string
}

// PathsOf is the layout of a data directory; nothing is created.
func PathsOf(root string) (Paths, error) {
	absolute, err := filepath.Abs(root)
	if err != nil {
		return Paths{}, fmt.Errorf("data directory %q: %w", root, err)
	}
	return Paths{Root: absolute}, nil
}

// maxSocketPath is what Linux takes as the path of a unix socket: 108 bytes with the closing zero.
const maxSocketPath = 107

// makePaths makes the layout under root, creating what is missing.
func makePaths(root string) (Paths, error) {
	p, err := PathsOf(root)
	if err != nil {
		return p, err
	}
	if n := len(p.AdminSocket()); n > maxSocketPath {
		return p, fmt.Errorf("the path of the control socket, %s, has %d bytes, and Linux takes at most %d: choose a "+
			"--data-dir that is at least %d shorter", p.AdminSocket(), n, maxSocketPath, n-maxSocketPath)
	}
	for _, dir := range []string{p.run(), p.Logs()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return p, fmt.Errorf("make data directory: %w", err)
		}
	}
	return p, nil
}

// AdminSocket is where the controller serves wasmesh.admin.v1.
func (p Paths) AdminSocket() string { return filepath.Join(p.run(), "admin.sock") }

// syncAddress is where the controller serves hosts: a socket of mode 0600, since credentials travel there.
func (p Paths) syncAddress() string { return "unix:" + filepath.Join(p.run(), "sync.sock") }

// run holds a record of each process, the lock and the sockets.
func (p Paths) run() string { return filepath.Join(p.Root, "run") }

// Logs has a file for each process.
func (p Paths) Logs() string { return filepath.Join(p.Root, "logs") }

// log of one process.
func (p Paths) log(name string) string { return filepath.Join(p.Logs(), name+".log") }

// host holds everything of one host and its runtime.
func (p Paths) host(id string) string { return filepath.Join(p.Root, "hosts", id) }

// state is what a host keeps across restarts.
func (p Paths) state(id string) string { return filepath.Join(p.host(id), "state") }

// models is the directory that a host shares with its runtime.
func (p Paths) models(id string) string { return filepath.Join(p.host(id), "models") }

// runtime is the working directory of a host's runtime.
func (p Paths) runtime(id string) string { return filepath.Join(p.host(id), "runtime") }

// Redials of the controller, which is a local process: it is back within a second or needs help.
const (
	firstRedial = 50 * time.Millisecond
	maxRedial   = time.Second
)

// maxAnswerBytes is room for the list of a mesh of a hundred thousand objects.
const maxAnswerBytes = 256 << 20

// DialAdmin connects to the controller of the data directory. It never blocks: the first call says when nobody is there.
func (p Paths) DialAdmin() (*grpc.ClientConn, error) {
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", p.AdminSocket())
	}
	// Not "unix:<path>": that is a URL, in which some characters of paths mean something else.
	conn, err := grpc.NewClient("passthrough:///admin", grpc.WithContextDialer(dial),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswerBytes)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: firstRedial, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxRedial},
			MinConnectTimeout: maxRedial,
		}))
	if err != nil {
		return nil, fmt.Errorf("connect to the mesh in %s: %w", p.Root, err)
	}
	return conn, nil
}
