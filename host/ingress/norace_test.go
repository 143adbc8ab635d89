//go:build !race

package ingress

// perWaiting is what one waiting request may cost in memory, besides its own bytes.
const perWaiting = 32 << 10
