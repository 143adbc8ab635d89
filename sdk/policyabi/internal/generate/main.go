// Command generate writes everything that depends on the layout of the policy ABI: the host's codec, the accessors of every
// guest SDK, the reference, the golden vectors and the record of offsets. `go generate ./sdk/policyabi` calls it with the
// repository's root. It writes the same bytes each time; the package's test compares them with those that are committed.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/wasmesh/wasmesh/sdk/policyabi/internal/schema"
)

const source = "sdk/policyabi/abi.yaml"

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: generate REPOSITORY")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(root string) error {
	text, err := os.ReadFile(filepath.Join(root, source))
	if err != nil {
		return err
	}
	abi, err := schema.Parse(text)
	if err != nil {
		return err
	}
	published, err := os.ReadFile(filepath.Join(root, offsetsFile))
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := keeps(string(published), abi); err != nil {
		return err
	}
	files, err := generate(abi)
	if err != nil {
		return err
	}
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
