package engine_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
)

// A program that lets a policy module choose where to put something. It needs no other package of this project: any
// module of the policy ABI will do, and the program describes its own places as rows.
func Example() {
	wasm, err := os.ReadFile("../place-balanced/place-balanced.wasm")
	if err != nil {
		log.Fatal(err)
	}
	e, err := engine.New(engine.Config{})
	if err != nil {
		log.Fatal(err)
	}
	program, err := e.Compile(context.Background(), engine.Source{Name: "balanced", Module: wasm})
	if err != nil {
		log.Fatal(err) // Says which rule the module broke.
	}
	request := &policyabi.PlaceRequest{
		Context: policyabi.PlaceContext{NeedMemory: 4 << 30},
		Rows: []policyabi.PlaceRow{
			{Name: "small", CapacityMemory: 2 << 30, FreeMemory: 2 << 30},
			{Name: "full", CapacityMemory: 16 << 30, FreeMemory: 1 << 30},
			{Name: "free", CapacityMemory: 16 << 30, FreeMemory: 15 << 30},
		},
	}

	ranked, err := rank(program, request)
	if err != nil {
		log.Fatal(err) // Busy, closed, or a *engine.Trap. A real program decides by itself.
	}
	for _, place := range ranked {
		fmt.Println(request.Rows[place.Row].Name, place.Reason)
	}

	program.Release()
	if err := e.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// free Free
	// full LeastLost
}

// rank is what a program does for each decision.
func rank(program *engine.Program, request *policyabi.PlaceRequest) ([]policyabi.PlaceAnswer, error) {
	instance, err := program.Acquire()
	if err != nil {
		return nil, err
	}
	defer instance.Release()
	buffer, err := instance.Buffer(request.Size())
	if err != nil {
		return nil, err
	}
	request.Encode(buffer)
	answer, _, err := instance.Call(policyabi.HookPlace, request.Size(), engine.Budget(policyabi.HookPlace, len(request.Rows)))
	if err != nil {
		return nil, err
	}
	return policyabi.DecodePlaceAnswers(answer, len(request.Rows))
}
