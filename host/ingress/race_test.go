//go:build race

package ingress

// perWaiting is what one waiting request may cost. The race detector makes the frames of a stack larger; what is promised,
// and measured without it, is in norace_test.go.
const perWaiting = 40 << 10
