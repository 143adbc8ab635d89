// Package policytest holds any policy module to the rules that the mesh holds it to, and to scenarios that its author
// wrote: small worlds in YAML with what the policy should answer in them. It is what `wasmesh policy test` runs, and
// what the tests of the shipped policies run. It decides nothing and keeps nothing.
//
// A scenario:
//
//	name: the copy that is used least goes first
//	hook: evict
//	now: 2026-01-01T12:00:00Z
//	config: |
//	  protect_ms=1000
//	context: {need_memory: 1000, purpose: Miss}
//	rows:
//	  - {name: busy, size_memory: 1000, rate: 5000000, flags: [Pinned]}
//	  - {name: idle, size_memory: 1000, rate: 5}
//	want:
//	  order: [idle, busy]
//
// Fields have their names in the ABI; enums and flags are written by name; a field that is not given is 0, which stands
// for nothing or unknown. A field whose name ends in _ms and that is a time may be written as one (RFC 3339), or as a
// duration from now ("-5m", "-5d"); one that is a duration as such ("200ms"); and one that counts bytes with a unit of
// Kubernetes' ("500Mi").
package policytest
