package policy

import (
	"bytes"
	"os"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policy/internal/bundle"
)

// The SDK that the command line hands out is the one beside it.
func TestGoIsPacked(t *testing.T) {
	packed, err := bundle.Pack(os.DirFS("go"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(packed, Go) {
		t.Error("go.zip is not the Go SDK: `make generate` packs it anew")
	}
}
