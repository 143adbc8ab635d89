// Command cmd writes the packed Go SDK: cmd DIR OUT.
package main

import (
	"fmt"
	"os"

	"github.com/wasmesh/wasmesh/sdk/policy/internal/bundle"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: bundle DIR OUT")
	}
	packed, err := bundle.Pack(os.DirFS(args[0]))
	if err != nil {
		return err
	}
	return os.WriteFile(args[1], packed, 0o644)
}
