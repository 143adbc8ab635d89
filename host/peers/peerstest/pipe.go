package peerstest

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// pipeSize is what may be written and not yet read: a socket's buffers.
const pipeSize = 256 << 10

// pipe is a connection's two directions.
type pipe struct {
	ends [2]string
	a, b *stream
	gone func()
	once sync.Once
}

func newPipe(ends [2]string) *pipe { return &pipe{ends: ends, a: newStream(), b: newStream()} }

func (p *pipe) hold(held bool) {
	p.a.update(func(s *stream) { s.held = held })
	p.b.update(func(s *stream) { s.held = held })
}

func (p *pipe) fail(err error) {
	p.a.update(func(s *stream) { s.failed = err })
	p.b.update(func(s *stream) { s.failed = err })
}

// over: both ends have closed.
func (p *pipe) over() bool {
	over := true
	for _, s := range []*stream{p.a, p.b} {
		s.mu.Lock()
		over = over && s.ended && s.broken
		s.mu.Unlock()
	}
	return over
}

// stream is one direction.
type stream struct {
	mu     sync.Mutex
	cond   *sync.Cond
	data   []byte
	held   bool // what is written does not arrive, not even that nothing more comes
	ended  bool // the writer has closed
	broken bool // the reader has closed
	failed error
}

func newStream() *stream {
	s := &stream{}
	s.cond = sync.NewCond(&s.mu)
	return s
}

func (s *stream) update(f func(*stream)) {
	s.mu.Lock()
	f(s)
	s.mu.Unlock()
	s.cond.Broadcast()
}

func (s *stream) read(b []byte, late *deadline) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case late.passed():
			return 0, os.ErrDeadlineExceeded
		case s.failed != nil:
			return 0, s.failed
		case s.broken:
			return 0, net.ErrClosed
		case len(s.data) > 0 && !s.held:
			n := copy(b, s.data)
			s.data = s.data[n:]
			s.cond.Broadcast()
			return n, nil
		case s.ended && !s.held:
			return 0, io.EOF
		}
		s.cond.Wait()
	}
}

func (s *stream) write(b []byte, late *deadline) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n < len(b) {
		room := pipeSize - len(s.data)
		switch {
		case late.passed():
			return n, os.ErrDeadlineExceeded
		case s.failed != nil:
			return n, s.failed
		case s.ended:
			return n, net.ErrClosed
		case s.broken && !s.held:
			return n, syscall.EPIPE
		case room > 0:
			part := b[n:min(len(b), n+room)]
			s.data = append(s.data, part...)
			n += len(part)
			s.cond.Broadcast()
		default:
			s.cond.Wait()
		}
	}
	return n, nil
}

// deadline wakes who waits on a stream.
type deadline struct {
	mu    sync.Mutex
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.at.IsZero() && !time.Now().Before(d.at)
}

func (d *deadline) set(at time.Time, s *stream) {
	d.mu.Lock()
	d.at = at
	if d.timer != nil {
		d.timer.Stop()
	}
	if !at.IsZero() {
		d.timer = time.AfterFunc(time.Until(at), func() { s.update(func(*stream) {}) })
	}
	d.mu.Unlock()
	s.update(func(*stream) {})
}

// conn is one end.
type conn struct {
	pipe          *pipe
	in, out       *stream
	local, remote net.Addr
	read, written deadline
}

func (c *conn) Read(b []byte) (int, error)  { return c.in.read(b, &c.read) }
func (c *conn) Write(b []byte) (int, error) { return c.out.write(b, &c.written) }
func (c *conn) LocalAddr() net.Addr         { return c.local }
func (c *conn) RemoteAddr() net.Addr        { return c.remote }

func (c *conn) Close() error {
	c.in.update(func(s *stream) { s.broken = true })
	c.out.update(func(s *stream) { s.ended = true })
	c.read.set(time.Time{}, c.in)
	c.written.set(time.Time{}, c.out)
	if c.pipe.over() {
		c.pipe.once.Do(c.pipe.gone)
	}
	return nil
}

func (c *conn) SetDeadline(t time.Time) error {
	c.read.set(t, c.in)
	c.written.set(t, c.out)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.read.set(t, c.in)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.written.set(t, c.out)
	return nil
}
