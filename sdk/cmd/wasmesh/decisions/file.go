package decisions

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protodelim"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Limits of a recording that is read: one decision over 10,000 rows takes some 2 MiB.
const (
	maxDecisionBytes = 16 << 20
	maxDecisions     = 1_000_000
	maxBytes         = 2 << 30
)

// Write makes a recording.
func Write(w io.Writer, all []*syncv1.Decision) error {
	zipped := gzip.NewWriter(w)
	for _, d := range all {
		if _, err := protodelim.MarshalTo(zipped, d); err != nil {
			return fmt.Errorf("write recording: %w", err)
		}
	}
	if err := zipped.Close(); err != nil {
		return fmt.Errorf("write recording: %w", err)
	}
	return nil
}

// Read reads a recording whole. An error says that it is no recording, or damaged.
func Read(r io.Reader) ([]*syncv1.Decision, error) {
	zipped, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("read recording: not one that `wasmesh policy record` wrote: %w", err)
	}
	var all []*syncv1.Decision
	limited := &io.LimitedReader{R: zipped, N: maxBytes}
	buffered := bufio.NewReader(limited)
	options := protodelim.UnmarshalOptions{MaxSize: maxDecisionBytes}
	for {
		d := new(syncv1.Decision)
		err := options.UnmarshalFrom(buffered, d)
		switch {
		case limited.N <= 0:
			return nil, fmt.Errorf("read recording: it has more than %d bytes", maxBytes)
		case err == io.EOF: // Not io.ErrUnexpectedEOF, which is one that was cut off.
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read recording: it is damaged after %d decisions: %w", len(all), err)
		}
		if all = append(all, d); len(all) > maxDecisions {
			return nil, fmt.Errorf("read recording: more than %d decisions", maxDecisions)
		}
	}
}
