// Package policy is what a policy module in Go is written with. The hooks are packages of their own below this one: a module
// decides what it imports. This is a whole module:
//
//	// This policy loads a model on the host with the most free memory.
//	package main
//
//	import "github.com/wasmesh/wasmesh/sdk/policy/go/place"
//
//	func init() { place.Handle(mostFree) }
//
//	func mostFree(r place.Request, a *place.Answers) {
//		for i := range r.Len() {
//			a.Add(i, int32(r.Row(i).FreeMemory()>>20), place.ReasonFree)
//		}
//		a.Sort()
//	}
//
//	func main() {}
//
// It is built with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags="-s -w" -o policy.wasm
//
// A policy is a function of its request and its configuration. It keeps nothing from one call for the next, and it has no
// clock, no randomness and no files but what is in the request. Requests and rows are valid until the function returns.
// Package policytest calls such functions in ordinary Go tests.
package policy

// Error says why a request cannot be read. The hook returns its negative.
func (v CallError) Error() string {
	return "policy: request refused: " + v.String()
}
