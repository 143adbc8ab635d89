package forward

import (
	"encoding/binary"
	"io"

	"github.com/wasmesh/wasmesh/host/forward/splice"
)

// PrefixBytes is the length of the prefix of each gRPC message: one byte that tells whether it is compressed, four of
// length, big-endian.
const PrefixBytes = 5

// framer passes a request's bytes on while it follows the gRPC messages in them: it enforces the size limit before a
// message is read and writes suffix behind each message, with the prefix adjusted. Not safe for concurrent use.
type framer struct {
	src   io.Reader
	limit int64
	// path and suffix are set when messages take the model id; name is what they may name instead of nothing.
	path     []uint32
	suffix   []byte
	name     string
	encoding string
	memory   Memory

	walker  splice.Walker
	prefix  [PrefixBytes]byte
	nprefix int
	// left counts bytes of the current message that are still to be passed on.
	left int64
	// out waits to be passed on before anything else; taken is what it costs of memory.
	out   []byte
	taken int64
	atEnd bool
}

// Read implements io.Reader. It waits for the client at most once after it has something worth sending.
func (f *framer) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(f.out) > 0 {
			n += f.flush(p[n:])
			continue
		}
		if f.left > 0 {
			passed, err := f.pass(p[n:])
			if n += passed; err != nil {
				return n, err
			}
			if f.left == 0 {
				continue
			}
			return n, nil
		}
		if f.atEnd {
			return n, io.EOF
		}
		if n > 0 {
			// A whole message is ready; the next may be long in coming.
			return n, nil
		}
		if err := f.next(); err != nil {
			return n, err
		}
	}
	if f.atEnd && len(f.out) == 0 {
		return n, io.EOF
	}
	return n, nil
}

// flush passes on bytes of out.
func (f *framer) flush(p []byte) int {
	n := copy(p, f.out)
	f.out = f.out[n:]
	if len(f.out) == 0 {
		f.out = nil
		f.give(f.taken)
	}
	return n
}

// pass reads once from the source into p and follows the message.
func (f *framer) pass(p []byte) (int, error) {
	n, err := f.src.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	if f.suffix != nil {
		if bad := f.follow(p[:n]); bad != nil {
			return 0, bad
		}
	}
	if err == io.EOF {
		f.atEnd = true
		if f.left > 0 {
			return 0, invalid("the request ended %d bytes before the end of its message", f.left)
		}
		err = nil
	}
	return n, err
}

// follow walks bytes of the current message, which has f.left bytes to go after them, and queues the suffix behind
// its last byte.
func (f *framer) follow(p []byte) error {
	err := f.walker.Write(p)
	if err == nil && f.left == 0 {
		err = f.walker.Close()
		f.out = f.suffix
	}
	if err != nil {
		return invalid("%v", err)
	}
	return nil
}

// next reads a prefix and queues its successor.
func (f *framer) next() error {
	for f.nprefix < PrefixBytes {
		n, err := f.src.Read(f.prefix[f.nprefix:])
		f.nprefix += n
		if err == io.EOF {
			f.atEnd = true
			if f.nprefix == 0 {
				return nil
			}
			if f.nprefix < PrefixBytes {
				return invalid("the request ended inside a message prefix")
			}
		} else if err != nil {
			return err
		}
	}
	f.nprefix = 0
	flag, size := f.prefix[0], int64(binary.BigEndian.Uint32(f.prefix[1:]))
	if flag > 1 {
		return invalid("the request is not gRPC: a message prefix starts with %d", flag)
	}
	if size > f.limit {
		return TooLarge(size, f.limit)
	}
	if f.atEnd && size > 0 {
		return invalid("the request ended %d bytes before the end of its message", size)
	}
	if f.suffix != nil && flag == 1 {
		return f.inflate(size)
	}
	f.left = size
	if f.suffix != nil {
		f.walker.Reset(f.path, size, f.name)
	}
	f.queue(flag, size+int64(len(f.suffix)))
	if size == 0 {
		f.out = append(f.out, f.suffix...)
	}
	return nil
}

// queue makes a prefix the next bytes to pass on.
func (f *framer) queue(flag byte, size int64) {
	f.out = append(make([]byte, 0, PrefixBytes+len(f.suffix)), flag, 0, 0, 0, 0)
	binary.BigEndian.PutUint32(f.out[1:], uint32(size))
}

// take and give change what this request holds of the memory budget.
func (f *framer) take(n int64) error {
	if err := f.memory.Take(n); err != nil {
		return &RequestError{err.Outcome, err.Outcome.Code(), err.Message}
	}
	f.taken += n
	return nil
}

func (f *framer) give(n int64) {
	if n > 0 {
		f.taken -= n
		f.memory.Give(n)
	}
}
