package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// Reconnecting: quick enough that a restarted controller is found at once, slow enough that its absence costs nothing.
const (
	firstReconnect = 100 * time.Millisecond
	maxReconnect   = 3 * time.Second
)

// Listener is told of changes, on the goroutine of Client.Run, one at a time. The client acknowledges an update only
// after CatalogChanged has returned, and sends whatever it published first: to the controller an acknowledged model
// without a copy is one that the host decided not to load.
type Listener interface {
	CatalogChanged(Change)
	CredentialsChanged(storage map[string][]byte)
}

// PolicyListener is told what the controller says of policies, on the goroutine of Client.Run: it must not block. What it has
// to say in return goes through the Reporter. Plans do not wait for the catalog, nor the catalog for them.
type PolicyListener interface {
	PolicyPlan(plan *syncv1.PolicyPlan)
	DecisionsQuery(query *syncv1.DecisionsQuery)
}

// MeshListener is told who is in the mesh and what the controller wants of this host, on the goroutine of Client.Run: it must
// not block.
type MeshListener interface {
	// HostsChanged has every host that the controller knows, this one included; not to be changed.
	HostsChanged(hosts []*syncv1.Hosts_Host)
	// Drain has this host hand its copies over and leave. The handing over takes at most timeout; 0 is the host's own
	// setting.
	Drain(timeout time.Duration)
}

// Peers are the other hosts, as far as they can stand in for the controller.
type Peers interface {
	// Catalog answers the whole catalog of a peer that has a newer one than have, which is nil for none: updates without
	// base, the last one complete. Nothing, without an error, when no peer has.
	Catalog(ctx context.Context, have *syncv1.Version) ([]*syncv1.Update, error)
}

// Config says who this host is and where its controller and its files are.
type Config struct {
	// Hello is sent on every connection; its catalog version is filled in.
	Hello *syncv1.Hello
	// Controller is the connection to the controller; nil runs from disk alone.
	Controller grpc.ClientConnInterface
	// StateDir keeps the catalog and the credentials across restarts.
	StateDir string
	// Policies hears of policies; nil for a host that has none.
	Policies PolicyListener
	// Mesh hears of other hosts; nil for nobody.
	Mesh MeshListener
	// Peers stand in for the controller while it is away; nil for a host that has none.
	Peers  Peers
	Logger *slog.Logger
}

// Client owns the host's end of the sync stream.
type Client struct {
	config   Config
	listener Listener
	reporter *Reporter
	table    atomic.Pointer[Table]
	hosts    atomic.Pointer[syncv1.Hosts]
	// connected is for health and status pages only.
	connected atomic.Bool
	// credentials are those that the listener was last told of; Run's goroutine's alone.
	credentials *syncv1.Credentials
}

// NewClient reads the catalog that was on disk. A damaged file is as none: it is logged, and the controller sends
// everything again.
func NewClient(config Config, reporter *Reporter, listener Listener) (*Client, error) {
	if config.Hello.GetHostId() == "" || config.Hello.GetNamespace() == "" {
		return nil, errors.New("catalog client: host id and namespace are required")
	}
	c := &Client{config: config, listener: listener, reporter: reporter}
	table, err := loadTable(config.StateDir)
	if err != nil {
		config.Logger.Warn("catalog on disk is unusable; waiting for the controller", "error", err)
	}
	c.table.Store(table)
	c.hosts.Store(&syncv1.Hosts{})
	return c, nil
}

// Table is the present catalog.
func (c *Client) Table() *Table { return c.table.Load() }

// Hosts is every host that the controller knows, this one included; empty before the first connection.
func (c *Client) Hosts() []*syncv1.Hosts_Host { return c.hosts.Load().GetHosts() }

// Connected reports whether the stream to the controller stands.
func (c *Client) Connected() bool { return c.connected.Load() }

// Run tells the listener of the catalog on disk, then keeps the stream until ctx ends.
func (c *Client) Run(ctx context.Context) error {
	c.restore()
	if c.config.Controller == nil {
		c.withoutController(ctx)
		return nil
	}
	backoff, away := firstReconnect, time.Now()
	for ctx.Err() == nil {
		started := time.Now()
		err := c.session(ctx)
		if c.connected.Swap(false) {
			away = time.Now()
		}
		if ctx.Err() != nil {
			break
		}
		if time.Since(away) > peersAfter {
			c.askPeers(ctx)
		}
		if time.Since(started) > maxReconnect {
			backoff = firstReconnect
		}
		c.config.Logger.Info("sync stream ended; serving from the last catalog", "error", err, "retry_in", backoff)
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxReconnect)
	}
	return nil
}

func (c *Client) restore() {
	credentials, err := loadCredentials(c.config.StateDir)
	if err != nil {
		c.config.Logger.Warn("credentials on disk are unusable; waiting for the controller", "error", err)
	}
	if credentials != nil {
		c.credentials = credentials
		c.listener.CredentialsChanged(credentials.GetStorage())
	}
	if table := c.Table(); table.Complete() {
		c.listener.CatalogChanged(diff(emptyTable(), table))
	}
}

// session is one stream: it ends with an error, always.
func (c *Client) session(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := syncv1.NewSyncServiceClient(c.config.Controller).Connect(ctx)
	if err != nil {
		return fmt.Errorf("connect to controller: %w", err)
	}
	hello := proto.CloneOf(c.config.Hello)
	hello.CatalogVersion = c.Table().Version()
	if err := stream.Send(&syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Hello{Hello: hello}}); err != nil {
		return fmt.Errorf("greet controller: %w", err)
	}

	s := &session{client: c, stream: stream}
	if err := s.report(c.reporter.complete()); err != nil {
		return err
	}
	if err := s.reportPolicies(c.reporter.policiesAgain()); err != nil {
		return err
	}
	received := make(chan *syncv1.ConnectResponse)
	failed := make(chan error, 1)
	done := make(chan struct{})
	// The reader ends when cancel, above, has ended the stream; session waits for it so that none is left behind.
	go func() {
		defer close(done)
		failed <- s.read(ctx, received)
	}()
	defer func() { cancel(); <-done }()

	for {
		select {
		case message := <-received:
			if err := s.handle(message); err != nil {
				return err
			}
		case <-c.reporter.wake:
			if err := s.report(c.reporter.delta()); err != nil {
				return err
			}
			if err := s.reportPolicies(c.reporter.policiesNews()); err != nil {
				return err
			}
		case reply := <-c.reporter.replies:
			if err := s.send(&syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Decisions{Decisions: reply}}); err != nil {
				return err
			}
		case err := <-failed:
			return err
		}
	}
}
