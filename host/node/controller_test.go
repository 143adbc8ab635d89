package node

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
)

// A controller that was away for an hour is found again within seconds of its return, or it would write statuses without
// this host's copies.
func TestControllerThatWasAwayForLongIsFoundSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // guards the two below
		var last time.Time
		var longest time.Duration
		conn, err := dialController("passthrough:controller", nil, grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			if now := time.Now(); !last.IsZero() {
				longest = max(longest, now.Sub(last))
			}
			last = time.Now()
			return nil, errors.New("nobody there")
		}))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for away := time.Duration(0); away < time.Hour; away += time.Second {
			conn.Connect()
			time.Sleep(time.Second)
		}
		mu.Lock()
		defer mu.Unlock()
		if last.IsZero() || longest > 5*time.Second {
			t.Errorf("the longest pause between two attempts was %v", longest)
		}
	})
}
