// Package chaos breaks real things under a real mesh. Partition cuts the network between two halves of the hosts, which
// run in network namespaces of their own, and looks at what both halves answer meanwhile and what is left of it after the
// network has healed.
//
// Namespaces need root and iproute2, so these are programs with targets of their own in the Makefile and not part of
// `make test`; the same schedules in virtual time are (test/sim).
package chaos
