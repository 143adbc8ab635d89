// This policy loads a model on the host with the most free memory.
package main

import "github.com/wasmesh/wasmesh/sdk/policy/go/place"

func init() { place.Handle(mostFree) }

func mostFree(r place.Request, a *place.Answers) {
	for i := range r.Len() {
		a.Add(i, int32(r.Row(i).FreeMemory()>>20), place.ReasonFree)
	}
	a.Sort()
}

func main() {}
