package forward

import (
	"errors"
	"io"
	"sync"
)

// HeadBytes is how much of a request is kept so that it can be sent again.
const HeadBytes = 64 << 10

// errBodyClosed ends the reads of an attempt that is over.
var errBodyClosed = errors.New("request body: the attempt is over")

// Body is the client's side of a call: a stream of bytes of which the first HeadBytes are kept, so that as long as no
// more than those were handed out the request can be sent again from its start.
//
// One attempt reads at a time. An attempt that is abandoned while it waits for the client keeps waiting; what it
// receives still goes to the kept bytes.
type Body struct {
	mu     sync.Mutex
	change sync.Cond // reading became false, or a reader was closed

	source io.ReadCloser
	kept   *buffer
	// passed is set when bytes beyond the kept ones were handed out.
	passed  bool
	reading bool
	closed  bool
	// end is what source returned last: io.EOF, or why nothing more can come.
	end error
}

// NewBody wraps source; the body owns it.
func NewBody(source io.ReadCloser) *Body {
	b := &Body{source: source}
	b.change.L = &b.mu
	return b
}

// BytesBody is a body that is complete and can be sent any number of times.
func BytesBody(data []byte) *Body {
	b := &Body{kept: &buffer{data: data}, end: io.EOF}
	b.change.L = &b.mu
	return b
}

// Peek waits until at least n bytes (at most HeadBytes) have arrived, or the end of the request, and returns all that
// are kept. Only an error other than io.EOF is returned. Not to be called once an attempt has been made. The result is
// valid until the next call on b.
func (b *Body) Peek(n int) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.kept.len() < min(n, HeadBytes) && b.end == nil {
		b.readKept()
	}
	if b.end != nil && b.end != io.EOF {
		return b.kept.bytes(), b.end
	}
	return b.kept.bytes(), nil
}

// AtEnd reports whether the client has sent its last byte and all of it is kept.
func (b *Body) AtEnd() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.end == io.EOF && !b.passed
}

// Held is the memory that the kept bytes take.
func (b *Body) Held() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.kept.capacity()
}

// Len is how many bytes are kept.
func (b *Body) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.kept.len()
}

// Replayable reports whether a new attempt can start from the first byte.
func (b *Body) Replayable() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.passed && !b.reading && !b.closed && (b.end == nil || b.end == io.EOF)
}

// Close ends all reading. The kept bytes are released as soon as no read is under way.
func (b *Body) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.closed = true
	b.breakSource()
	if !b.reading {
		b.kept.release()
	}
}

// Break ends all waiting for the client; nothing more comes. Unlike Close it leaves the kept bytes to those who look at
// them.
func (b *Body) Break() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.breakSource()
}

// breakSource makes a read under way return.
func (b *Body) breakSource() {
	if b.end == nil {
		b.end = errBodyClosed
		b.source.Close()
	}
}

// readKept reads once from the source behind the kept bytes. Called with b.mu held, which it gives up meanwhile.
func (b *Body) readKept() {
	b.kept = b.kept.room()
	room := b.kept.free()
	b.reading = true
	b.mu.Unlock()
	n, err := b.source.Read(room)
	b.mu.Lock()
	b.reading = false
	b.kept.data = b.kept.data[:len(b.kept.data)+n]
	b.ended(err)
	b.change.Broadcast()
}

func (b *Body) ended(err error) {
	if err != nil && b.end == nil {
		b.end = err
	}
	if b.closed {
		b.kept.release()
	}
}

// attempt starts reading from the first byte.
func (b *Body) attempt() *bodyReader { return &bodyReader{body: b} }

// bodyReader is one attempt's view of a Body.
type bodyReader struct {
	body   *Body
	offset int
	closed bool // guarded by body.mu
	mine   bool // the read under way is this reader's; guarded by body.mu
}

// Read implements io.Reader. It answers io.EOF together with the last bytes when the end is known by then, so that
// the HTTP/2 frame which carries them can end the stream.
func (r *bodyReader) Read(p []byte) (int, error) {
	b := r.body
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		switch {
		case r.closed || b.closed:
			return 0, errBodyClosed
		case r.offset < b.kept.len():
			n := copy(p, b.kept.bytes()[r.offset:])
			r.offset += n
			if r.offset == b.kept.len() && b.end == io.EOF && !b.passed {
				return n, io.EOF
			}
			return n, nil
		case b.end != nil:
			return 0, b.end
		case b.reading:
			b.change.Wait()
		case b.passed || b.kept.len() == HeadBytes:
			return r.readPast(p)
		default:
			r.mine = true
			b.readKept()
			r.mine = false
		}
	}
}

// readPast reads beyond what is kept; once that has brought a byte the request cannot be sent again.
func (r *bodyReader) readPast(p []byte) (int, error) {
	b := r.body
	b.reading, r.mine = true, true
	b.mu.Unlock()
	n, err := b.source.Read(p)
	b.mu.Lock()
	b.reading, r.mine = false, false
	if n > 0 && !b.passed {
		b.passed = true
		r.offset = 0
		b.kept.release()
	}
	b.ended(err)
	b.change.Broadcast()
	return n, err
}

// Close ends this attempt. A read of its own that waits for the client is broken off, which ends the request for
// every attempt: the transport does not finish before its read returns.
func (r *bodyReader) Close() error {
	b := r.body
	b.mu.Lock()
	defer b.mu.Unlock()
	r.closed = true
	if r.mine {
		b.breakSource()
	}
	b.change.Broadcast()
	return nil
}
