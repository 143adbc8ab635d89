package main

import (
	"slices"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policy/go/place"
	"github.com/wasmesh/wasmesh/sdk/policy/go/policytest"
)

func TestMostFree(t *testing.T) {
	answers, err := policytest.Place(mostFree, &policytest.PlaceRequest{
		Rows: []policytest.PlaceRow{{Name: "a", FreeMemory: 5 << 20}, {Name: "b", FreeMemory: 9 << 20}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []place.Answer{{Row: 1, Score: 9, Reason: place.ReasonFree}, {Row: 0, Score: 5, Reason: place.ReasonFree}}
	if !slices.Equal(answers, want) {
		t.Errorf("answers %v, want %v", answers, want)
	}
}
