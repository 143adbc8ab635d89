package policyabi

import "fmt"

// ViewHeader reads the header of a request whose hook is not known. Nothing beyond the header has been checked.
func ViewHeader(b []byte) (HeaderView, error) {
	h := HeaderView{record{b: b}}
	switch {
	case len(b) < headerSize:
		return HeaderView{}, fmt.Errorf("%w: %d bytes, fewer than the header's %d", ErrRequest, len(b), headerSize)
	case h.Magic() != Magic:
		return HeaderView{}, fmt.Errorf("%w: it begins with %#x, not %#x", ErrRequest, h.Magic(), uint32(Magic))
	case h.AbiMajor() != Major:
		return HeaderView{}, fmt.Errorf("%w: it is of ABI version %d, and this is %d", ErrRequest, h.AbiMajor(), Major)
	}
	return h, nil
}

// HookOf is what a request asks.
func HookOf(b []byte) (Hook, error) {
	h, err := ViewHeader(b)
	return h.Hook(), err
}
