package author

import (
	"fmt"
	"os"
	"path/filepath"
)

// WriteWhole puts a file in place at once, so that a mesh which watches the directory never reads half of it.
func WriteWhole(path string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".wasmesh-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = temporary.Write(content)
	if closed := temporary.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Chmod(temporary.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temporary.Name()) // What failed first is what matters.
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
