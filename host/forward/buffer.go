package forward

import "sync"

// Sizes of the kept bytes: most requests fit the first, and none may have more than the last.
const (
	smallHead  = 4 << 10
	middleHead = 16 << 10
)

// buffer holds kept bytes; nil is an empty one.
type buffer struct {
	data   []byte
	pooled bool
}

// heads are pools of kept bytes by size. They hold no state, only spare memory.
var heads = [...]struct {
	size int
	pool *sync.Pool
}{
	{smallHead, newHeads(smallHead)},
	{middleHead, newHeads(middleHead)},
	{HeadBytes, newHeads(HeadBytes)},
}

func newHeads(size int) *sync.Pool {
	return &sync.Pool{New: func() any { return &buffer{data: make([]byte, 0, size), pooled: true} }}
}

func (b *buffer) len() int {
	if b == nil {
		return 0
	}
	return len(b.data)
}

func (b *buffer) capacity() int {
	if b == nil {
		return 0
	}
	return cap(b.data)
}

func (b *buffer) bytes() []byte {
	if b == nil {
		return nil
	}
	return b.data
}

func (b *buffer) free() []byte { return b.data[len(b.data):cap(b.data)] }

// room returns b, or a larger buffer with b's bytes if b is full. b must be smaller than HeadBytes.
func (b *buffer) room() *buffer {
	if b != nil && len(b.data) < cap(b.data) {
		return b
	}
	for _, class := range heads {
		if class.size <= b.capacity() {
			continue
		}
		larger := class.pool.Get().(*buffer)
		larger.data = append(larger.data[:0], b.bytes()...)
		b.release()
		return larger
	}
	return b
}

// release gives the memory back to its pool; b is empty afterwards.
func (b *buffer) release() {
	if b == nil || b.data == nil {
		return
	}
	data := b.data
	b.data = nil
	if !b.pooled {
		return
	}
	for _, class := range heads {
		if class.size == cap(data) {
			class.pool.Put(&buffer{data: data[:0], pooled: true})
		}
	}
}
