package launcher

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
)

// Free ports are looked for here: below the range from which Linux takes the local ports of outgoing connections
// (net.ipv4.ip_local_port_range, by default from 32768), one of which could else take a port of ours while its process
// is being started again.
const (
	lowestFreePort  = 20000
	highestFreePort = 32767
	// freePortAttempts is far more than it takes unless nearly all of them are taken.
	freePortAttempts = 512
)

// ports hands out TCP addresses, never one twice, and none on which anybody listens. An address stays its process's
// until the mesh ends, across restarts: some servers bind with SO_REUSEPORT, so two on one port would not fail but share.
//
// A look at a port does not keep it: between the look and the bind of a runtime that starts for seconds, another mesh
// could choose the same. So each address is locked by an abstract unix socket of its name, which has the scope of a
// port (the network namespace) and which the kernel lets go of with the launcher.
type ports struct {
	held map[string]net.Listener
}

// claim takes an address, or says who is in the way.
func (p *ports) claim(address string) error {
	if p.held[address] != nil {
		return fmt.Errorf("%s is used by this mesh itself; choose a --grpc-address and a --rest-address that are further apart", address)
	}
	lock, err := net.Listen("unix", "@wasmesh/"+address)
	if err == nil {
		if err = probe(address); err == nil {
			if p.held == nil {
				p.held = make(map[string]net.Listener)
			}
			p.held[address] = lock
			return nil
		}
		lock.Close()
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use by another program (`ss -ltnp` shows it); stop it, or choose another address", address)
	}
	return fmt.Errorf("cannot listen on %s: %w", address, err)
}

// free claims an address of the loopback, with the preferred port when that is free; 0 prefers none.
func (p *ports) free(preferred int) (string, error) {
	port := preferred
	var err error
	for range freePortAttempts {
		if port > 0 {
			address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
			if err = p.claim(address); err == nil {
				return address, nil
			}
		}
		port = lowestFreePort + rand.IntN(highestFreePort-lowestFreePort+1)
	}
	return "", fmt.Errorf("find a free port from %d to %d: %w", lowestFreePort, highestFreePort, err)
}

// freeForBoth is free for a server that takes datagrams on the same port.
func (p *ports) freeForBoth() (string, error) {
	for range freePortAttempts {
		address, err := p.free(0)
		if err != nil {
			return "", err
		}
		conn, err := net.ListenPacket("udp", address)
		if err == nil {
			return address, conn.Close()
		}
		p.release(address)
	}
	return "", fmt.Errorf("find a port from %d to %d that is free for TCP and UDP: all that were tried are in use",
		lowestFreePort, highestFreePort)
}

// release gives up an address that no process was told.
func (p *ports) release(address string) {
	if lock := p.held[address]; lock != nil {
		lock.Close()
		delete(p.held, address)
	}
}

func (p *ports) close() {
	for address := range p.held {
		p.release(address)
	}
}

// probe listens without SO_REUSEPORT, and so sees listeners that have it.
func probe(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return listener.Close()
}

// offset answers the address k ports further.
func offset(address string, k int) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("address %q is not host:port: %w", address, err)
	}
	number, err := strconv.Atoi(port)
	if err != nil || number <= 0 || number+k > 65535 {
		return "", fmt.Errorf("address %q: its port must be a number from 1 to %d", address, 65535-k)
	}
	return net.JoinHostPort(host, strconv.Itoa(number+k)), nil
}
