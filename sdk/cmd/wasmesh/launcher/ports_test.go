package launcher

import (
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// listen takes an address for the length of the test. control may set options of the socket.
func listen(t *testing.T, address string, control func(network, address string, c syscall.RawConn) error) {
	t.Helper()
	config := net.ListenConfig{Control: control}
	listener, err := config.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
}

// Meshes that choose at the same time, none of whose processes listens yet.
func TestPortsAreNeverHandedOutTwice(t *testing.T) {
	const meshes, each = 8, 40
	var mu sync.Mutex
	owners := make(map[string]int)
	var choosing sync.WaitGroup
	for mesh := range meshes {
		p := &ports{}
		defer p.close()
		choosing.Go(func() {
			for i := range each {
				address, err := p.free(metricsPort + i%2)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if other, taken := owners[address]; taken {
					t.Errorf("%s was given to mesh %d and to mesh %d", address, other, mesh)
				}
				owners[address] = mesh
				mu.Unlock()
			}
		})
	}
	choosing.Wait()
	if len(owners) != meshes*each {
		t.Errorf("%d addresses, want %d", len(owners), meshes*each)
	}
}

func TestAPortComesBackWithTheEndOfItsMesh(t *testing.T) {
	first, second := &ports{}, &ports{}
	address, err := first.free(0)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.claim(address); err == nil {
		t.Fatalf("%s was given twice", address)
	}
	first.close()
	if err := second.claim(address); err != nil {
		t.Errorf("claim after the end of the other mesh: %v", err)
	}
	second.close()
}

// A server that would share its port is in the way all the same.
func TestAPortWithReusePortIsTaken(t *testing.T) {
	address := loopback() + ":8033"
	listen(t, address, func(_, _ string, c syscall.RawConn) (failed error) {
		err := c.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		return errors.Join(err, failed)
	})
	p := &ports{}
	defer p.close()
	if err := p.claim(address); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("claim = %v, want that it is in use", err)
	}
}

func TestOffset(t *testing.T) {
	for _, test := range []struct {
		address string
		k       int
		want    string
	}{
		{"127.0.0.1:8033", 0, "127.0.0.1:8033"},
		{"127.0.0.1:8033", 24, "127.0.0.1:8057"},
		{":8033", 1, ":8034"},
		{"[::1]:8033", 1, "[::1]:8034"},
		{"127.0.0.1:65535", 1, ""},
		{"127.0.0.1:0", 0, ""},
		{"127.0.0.1:grpc", 0, ""},
		{"8033", 0, ""},
	} {
		got, err := offset(test.address, test.k)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("offset(%q, %d) = %q, %v, want %q", test.address, test.k, got, err, test.want)
		}
	}
}
