package forward

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
)

// AcceptedEncodings is what a client may compress a message with that needs the model id.
const AcceptedEncodings = "identity,gzip"

// inflateStep is the least by which the buffer of a message under decompression grows.
const inflateStep = 64 << 10

// inflate replaces a compressed message of size bytes by the plain one with the suffix. Both forms are held in memory
// meanwhile, the plain one until it has been passed on, and are counted.
func (f *framer) inflate(size int64) error {
	if f.encoding != "gzip" {
		return unimplemented("a message compressed with %q cannot be given the model id; this server takes: %s", f.encoding, AcceptedEncodings)
	}
	if err := f.take(size); err != nil {
		return err
	}
	packed := make([]byte, size)
	if _, err := io.ReadFull(f.src, packed); err != nil {
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			return invalid("the request ended before the end of its compressed message of %d bytes", size)
		}
		return err
	}
	framed, err := f.gunzip(packed)
	if err != nil {
		return err
	}
	f.give(size)
	plain := framed[PrefixBytes:]
	f.walker.Reset(f.path, int64(len(plain)), f.name)
	if err := f.walker.Write(plain); err != nil {
		return invalid("%v", err)
	}
	if err := f.walker.Close(); err != nil {
		return invalid("%v", err)
	}
	binary.BigEndian.PutUint32(framed[1:], uint32(len(plain)+len(f.suffix)))
	f.out = append(framed, f.suffix...)
	return nil
}

// gunzip decompresses packed to at most f.limit bytes, behind room for a prefix.
func (f *framer) gunzip(packed []byte) ([]byte, error) {
	unzip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, invalid("decompress message: %v", err)
	}
	framed := make([]byte, PrefixBytes)
	for {
		if len(framed) == cap(framed) || cap(framed) < inflateStep {
			before := cap(framed)
			after := max(2*before, inflateStep)
			if err := f.take(int64(after)); err != nil {
				return nil, err
			}
			framed = append(make([]byte, 0, after), framed...)
			if before >= inflateStep {
				f.give(int64(before))
			}
		}
		n, err := unzip.Read(framed[len(framed):cap(framed)])
		framed = framed[:len(framed)+n]
		if int64(len(framed)-PrefixBytes) > f.limit {
			return nil, tooLarge("the message decompresses to more than this server's limit of %d bytes (--max-message-bytes)", f.limit)
		}
		if err == io.EOF {
			return framed, nil
		}
		if err != nil {
			return nil, invalid("decompress message: %v", err)
		}
	}
}
