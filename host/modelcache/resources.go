package modelcache

import (
	"fmt"
	"strings"
)

// Dimensions of Resources.
const (
	// HostMemory in bytes.
	HostMemory = iota
	// DeviceMemory in bytes, of accelerators.
	DeviceMemory
	// Slots is a number of copies.
	Slots

	dimensions
)

// Resources is an amount of everything that a copy takes. A dimension in which the capacity is zero is not counted.
type Resources [dimensions]int64

// Plus answers r + o.
func (r Resources) Plus(o Resources) Resources {
	for d := range r {
		r[d] += o[d]
	}
	return r
}

// Minus answers r - o, which may be negative.
func (r Resources) Minus(o Resources) Resources {
	for d := range r {
		r[d] -= o[d]
	}
	return r
}

// Covers reports whether r is at least need in every dimension.
func (r Resources) Covers(need Resources) bool {
	for d := range r {
		if r[d] < need[d] {
			return false
		}
	}
	return true
}

// IsZero reports whether nothing is asked.
func (r Resources) IsZero() bool { return r == Resources{} }

// smaller answers the minimum in each dimension.
func (r Resources) smaller(o Resources) Resources {
	for d := range r {
		r[d] = min(r[d], o[d])
	}
	return r
}

// Positive answers r with negative amounts taken as zero.
func (r Resources) Positive() Resources {
	for d := range r {
		r[d] = max(r[d], 0)
	}
	return r
}

// CountedIn answers r as a ledger of this capacity counts it.
func (r Resources) CountedIn(capacity Resources) Resources {
	for d := range r {
		if capacity[d] == 0 {
			r[d] = 0
		}
	}
	return r.Positive()
}

// String is fit for messages: "1.5 GiB", "512 B and 1 slots".
func (r Resources) String() string {
	var parts []string
	if r[HostMemory] != 0 || r.IsZero() {
		parts = append(parts, bytesString(r[HostMemory]))
	}
	if r[DeviceMemory] != 0 {
		parts = append(parts, bytesString(r[DeviceMemory])+" of device memory")
	}
	if r[Slots] != 0 {
		parts = append(parts, fmt.Sprintf("%d slots", r[Slots]))
	}
	return strings.Join(parts, " and ")
}

// bytesString rounds to one decimal, in the largest unit of which there is at least one.
func bytesString(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, prefix := float64(n)/unit, 0
	for value >= unit && prefix < len("KMGTPE")-1 {
		value /= unit
		prefix++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTPE"[prefix])
}
