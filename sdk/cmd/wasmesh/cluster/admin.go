package cluster

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
)

const (
	// maxAnswerBytes is room for the list of a mesh of a hundred thousand objects.
	maxAnswerBytes = 256 << 20
	// connectTimeout is for a TLS handshake and two hops, on a network that is far away.
	connectTimeout = 15 * time.Second
	// firstPause is short: the next attempt goes to another replica of the controller, if there are several.
	firstPause = 200 * time.Millisecond
)

// Admin is wasmesh.admin.v1 of a cluster: objects and Events are answered by the API server, everything else by the
// controller, to which a port is forwarded at the first call that needs it.
type Admin struct {
	adminv1.AdminServiceClient
	cluster *Cluster
	conn    *grpc.ClientConn

	mu sync.Mutex
	// failure is of the last attempt to reach the controller, and attempts is how many there were; guarded by mu.
	failure  error
	attempts int
}

// Admin makes one. The caller closes it.
func (c *Cluster) Admin() (*Admin, error) {
	a := &Admin{cluster: c}
	pauses := backoff.DefaultConfig
	pauses.BaseDelay = firstPause
	conn, err := grpc.NewClient("passthrough:///controller", grpc.WithContextDialer(a.dial),
		grpc.WithTransportCredentials(insecure.NewCredentials()), // The forwarded port is inside TLS to the API server.
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswerBytes)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: pauses, MinConnectTimeout: connectTimeout}))
	if err != nil {
		return nil, fmt.Errorf("connect to the controller: %w", err)
	}
	a.conn, a.AdminServiceClient = conn, adminv1.NewAdminServiceClient(conn)
	return a, nil
}

// Close ends the connection.
func (a *Admin) Close() error { return a.conn.Close() }

// Failure says why the controller could not be reached last; nil when it was.
func (a *Admin) Failure() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failure
}

func (a *Admin) dial(ctx context.Context, _ string) (net.Conn, error) {
	a.mu.Lock()
	attempt := a.attempts
	a.attempts++
	a.mu.Unlock()
	pod, err := a.cluster.controller(ctx, attempt)
	var conn net.Conn
	if err == nil {
		conn, err = a.cluster.dial(ctx, pod)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failure = err
	return conn, err
}
