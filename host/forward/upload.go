package forward

import (
	"context"
	"errors"
	"io"
	"sync"
)

// upload is the request body of one attempt. The transport reads it in a goroutine of its own, may close it from
// another while a read is under way, and always closes it.
type upload struct {
	reader *bodyReader
	// peer is the address of the host that it goes to, empty for a model server.
	peer string
	// framer belongs to the read under way; when none is, to the holder of mu.
	framer framer

	mu      sync.Mutex
	reading bool
	closed  bool
	// broken is what ended the upload, if not the server or this attempt's end.
	broken error
}

func (u *upload) Read(p []byte) (int, error) {
	u.mu.Lock()
	if u.closed {
		u.mu.Unlock()
		return 0, errBodyClosed
	}
	u.reading = true
	u.mu.Unlock()

	n, err := u.framer.Read(p)

	u.mu.Lock()
	defer u.mu.Unlock()
	u.reading = false
	if u.closed {
		u.framer.give(u.framer.taken)
	}
	if err != nil && err != io.EOF && !errors.Is(err, errBodyClosed) {
		u.broken = err
	}
	return n, err
}

func (u *upload) Close() error {
	err := u.reader.Close()
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.closed {
		u.closed = true
		if !u.reading {
			u.framer.give(u.framer.taken)
		}
	}
	return err
}

// failure is the client's part in the end of this attempt: a RequestError, context.Canceled if the client went away,
// or nil.
func (u *upload) failure() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.broken == nil {
		return nil
	}
	if bad, ok := errors.AsType[*RequestError](u.broken); ok {
		return bad
	}
	return context.Canceled
}
