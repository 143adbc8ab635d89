package conformance

import (
	"fmt"
	"math"
	"strings"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// Request is one request, encoded.
type Request struct {
	// Name says what is special about it.
	Name  string
	Bytes []byte
	Rows  int
}

// Requests answers the conformance set of a hook: the same bytes in every run. Nil for hooks that no policy answers.
func Requests(hook policyabi.Hook) []Request {
	var requests []Request
	for _, s := range shapes() {
		encoded, ok := encode(hook, s)
		if !ok {
			return nil
		}
		requests = append(requests, Request{Name: s.name, Bytes: encoded, Rows: s.rows})
		for _, skew := range s.skews {
			requests = append(requests, Request{Name: s.name + ", " + skew.name, Bytes: skew.apply(encoded), Rows: s.rows})
		}
	}
	return requests
}

// shape is what a request looks like, whichever hook it is for.
type shape struct {
	name   string
	rows   int
	values values
	// text makes the name of the i-th row; row -1 is the context's.
	text  func(row int) string
	skews []skew
}

func shapes() []shape {
	plausible := values{next: func(s *source, limit uint64) uint64 { return s.below(limit) }}
	constant := func(v uint64) values { return values{next: func(*source, uint64) uint64 { return v }, raw: true} }
	short := func(row int) string { return fmt.Sprintf("name-%d", row) }
	// The status of an object is about its model and the one that may replace it; more rows than that must do no harm.
	return []shape{
		{name: "no rows", values: plausible, text: short, skews: skews()},
		{name: "one row", rows: 1, values: plausible, text: short, skews: skews()},
		{name: "two rows", rows: 2, values: plausible, text: short, skews: skews()},
		{name: "seventeen rows", rows: 17, values: plausible, text: short, skews: skews()},
		{name: "a thousand rows", rows: 1000, values: plausible, text: short},
		{name: "all zero", rows: 3, values: constant(0), text: func(int) string { return "" }},
		{name: "all bits set", rows: 3, values: constant(math.MaxUint64), text: short},
		{name: "largest integers", rows: 5, values: constant(math.MaxInt64), text: short},
		{name: "smallest integers", rows: 5, values: constant(1 << 63), text: short},
		{name: "largest 32-bit integers", rows: 5, values: constant(math.MaxInt32), text: short},
		{name: "smallest 32-bit integers", rows: 5, values: constant(0x80000000_80000000), text: short},
		{name: "any bits", rows: 50, values: values{next: func(s *source, _ uint64) uint64 { return s.bits() }, raw: true}, text: short},
		{name: "equal rows", rows: 20, values: constant(1000), text: func(int) string { return "same" }},
		{name: "long names", rows: 3, values: plausible, text: func(int) string { return strings.Repeat("long-", 800) }},
		{name: "names that are not ASCII", rows: 3, values: plausible, text: func(int) string { return "größe/模型/🦀" }},
	}
}

// values fill the fields of a request.
type values struct {
	// next answers the value of a field that is plausible below limit.
	next func(s *source, limit uint64) uint64
	// raw: enums and flags take values too that this version does not know.
	raw bool
}

// source is a stream of numbers, the same in every run: splitmix64.
type source struct{ state uint64 }

func (s *source) bits() uint64 {
	s.state += 0x9e3779b97f4a7c15
	z := s.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (s *source) below(limit uint64) uint64 {
	if limit == 0 {
		return 0
	}
	return s.bits() % limit
}
