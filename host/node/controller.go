package node

import (
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/wasmesh/wasmesh/host/identity"
)

const (
	// maxCatalogMessageBytes is room for one message of a catalog of a hundred thousand models.
	maxCatalogMessageBytes = 64 << 20
	// firstRedial and maxRedial are the pauses between attempts to reach the controller. grpc's own grow to two minutes,
	// long after a controller that is back has begun to write statuses without this host.
	firstRedial = 100 * time.Millisecond
	maxRedial   = 3 * time.Second
	// controllerSilence and controllerTimeout find a controller whose machine vanished without closing the connection.
	controllerSilence = 10 * time.Second
	controllerTimeout = 5 * time.Second
)

// dialController makes the connection that the sync stream runs over; in plain text when self is nil. It never blocks:
// package catalog tries again for as long as nobody answers.
func dialController(address string, self *identity.Identity, more ...grpc.DialOption) (*grpc.ClientConn, error) {
	security := insecure.NewCredentials()
	if self != nil {
		security = credentials.NewTLS(self.ControllerTLS())
	}
	options := append([]grpc.DialOption{
		grpc.WithTransportCredentials(security),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxCatalogMessageBytes)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: firstRedial, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxRedial},
			MinConnectTimeout: maxRedial,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: controllerSilence, Timeout: controllerTimeout}),
	}, more...)
	conn, err := grpc.NewClient(address, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to controller: %w", err)
	}
	return conn, nil
}
