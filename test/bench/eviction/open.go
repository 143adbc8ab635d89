package eviction

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Open makes the ranker of a policy; close ends its use. Each replay opens its own.
type Open func(ctx context.Context, policy string) (rank Ranker, close func(), err error)

// OpenBuiltIn opens the policies in Go.
func OpenBuiltIn(_ context.Context, policy string) (Ranker, func(), error) {
	rank, err := BuiltIn(policy)
	return rank, func() {}, err
}

// OpenModules opens the modules of a directory, evict-<name>.wasm.
func OpenModules(dir string) Open {
	return func(ctx context.Context, policy string) (Ranker, func(), error) {
		path, wasm, err := ReadModule(dir, "evict-"+policy)
		if err != nil {
			return nil, nil, err
		}
		module, err := NewModule(ctx, path, wasm)
		if err != nil {
			return nil, nil, err
		}
		return module.Ranker(), module.Close, nil
	}
}

// ReadModule reads the module of that name, without ending, and says from where.
func ReadModule(dir, name string) (path string, wasm []byte, err error) {
	path = filepath.Join(dir, name+".wasm")
	wasm, err = os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil, fmt.Errorf("%w: run `make policies` first", err)
	}
	return path, wasm, err
}
