package gossip

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// socket is the transport over UDP and TCP of one port. memberlist has one too; that takes 64 KiB of memory for each
// packet, however small, and cannot tell us what did not fit.
type socket struct {
	udp     *net.UDPConn
	tcp     *net.TCPListener
	log     *slog.Logger
	packets chan *memberlist.Packet
	streams chan net.Conn
	stop    chan struct{}
	once    sync.Once
	wg      sync.WaitGroup
}

var _ memberlist.Transport = (*socket)(nil)

// bindAttempts: a port that is free for TCP may be taken for UDP, when any may be taken.
const bindAttempts = 10

// newSocket binds "host:port"; port 0 takes one that is free.
func newSocket(address string, log *slog.Logger) (*socket, error) {
	bound, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("gossip address: %w", err)
	}
	attempts := 1
	if bound.Port == 0 {
		attempts = bindAttempts
	}
	var s *socket
	for range attempts {
		if s, err = bindSocket(bound, log); err == nil {
			s.wg.Go(s.receive)
			s.wg.Go(s.accept)
			return s, nil
		}
	}
	return nil, fmt.Errorf("bind gossip address %s: %w", address, err)
}

func bindSocket(bound *net.TCPAddr, log *slog.Logger) (*socket, error) {
	tcp, err := net.ListenTCP("tcp", bound)
	if err != nil {
		return nil, err
	}
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: bound.IP, Port: tcp.Addr().(*net.TCPAddr).Port, Zone: bound.Zone})
	if err != nil {
		tcp.Close()
		return nil, err
	}
	return &socket{
		udp: udp, tcp: tcp, log: log,
		packets: make(chan *memberlist.Packet), streams: make(chan net.Conn), stop: make(chan struct{}),
	}, nil
}

func (s *socket) receive() {
	// One byte more than the largest that is taken in, so that what is cut off is seen to be too large.
	buffer := make([]byte, maxPacket+1)
	for {
		n, from, err := s.udp.ReadFrom(buffer)
		now := time.Now()
		if err != nil {
			if !s.pause(err) {
				return
			}
			continue
		}
		packet := &memberlist.Packet{Buf: append([]byte(nil), buffer[:n]...), From: from, Timestamp: now}
		select {
		case s.packets <- packet:
		case <-s.stop:
			return
		}
	}
}

func (s *socket) accept() {
	for {
		conn, err := s.tcp.Accept()
		if err != nil {
			if !s.pause(err) {
				return
			}
			continue
		}
		select {
		case s.streams <- conn:
		case <-s.stop:
			conn.Close()
			return
		}
	}
}

// pause keeps a listener that fails, for want of file descriptors say, from spinning. False: it is closed.
func (s *socket) pause(err error) bool {
	if errors.Is(err, net.ErrClosed) {
		return false
	}
	s.log.Warn("gossip listener", "error", err)
	select {
	case <-time.After(100 * time.Millisecond):
		return true
	case <-s.stop:
		return false
	}
}

// FinalAdvertiseAddr implements memberlist.Transport. Port 0 stands for the one that is bound.
func (s *socket) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	bound := s.tcp.Addr().(*net.TCPAddr)
	if port == 0 {
		port = bound.Port
	}
	if ip != "" {
		parsed := net.ParseIP(ip)
		if parsed == nil {
			return nil, 0, fmt.Errorf("gossip address to advertise: %q is not an IP address", ip)
		}
		return shortest(parsed), port, nil
	}
	if bound.IP.IsUnspecified() {
		return nil, 0, errors.New("gossip is bound to all addresses: say which one the others reach this host at")
	}
	return shortest(bound.IP), port, nil
}

func shortest(ip net.IP) net.IP {
	if four := ip.To4(); four != nil {
		return four
	}
	return ip
}

// WriteTo implements memberlist.Transport.
func (s *socket) WriteTo(b []byte, address string) (time.Time, error) {
	to, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return time.Time{}, err
	}
	_, err = s.udp.WriteTo(b, to)
	return time.Now(), err
}

// PacketCh implements memberlist.Transport.
func (s *socket) PacketCh() <-chan *memberlist.Packet { return s.packets }

// DialTimeout implements memberlist.Transport.
func (s *socket) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", address, timeout)
}

// StreamCh implements memberlist.Transport.
func (s *socket) StreamCh() <-chan net.Conn { return s.streams }

// Shutdown implements memberlist.Transport.
func (s *socket) Shutdown() error {
	var err error
	s.once.Do(func() {
		close(s.stop)
		err = errors.Join(s.tcp.Close(), s.udp.Close())
		s.wg.Wait()
	})
	return err
}
