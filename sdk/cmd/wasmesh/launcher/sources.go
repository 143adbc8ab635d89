package launcher

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// noteSources writes into the lock file what its holder reads, a path a line, so that commands can put an object where
// the mesh finds it.
func noteSources(lock *os.File, sources []string) error {
	var lines strings.Builder
	for _, source := range sources {
		absolute, err := filepath.Abs(source)
		if err != nil {
			return fmt.Errorf("-f: %w", err)
		}
		lines.WriteString(absolute + "\n")
	}
	if err := lock.Truncate(0); err != nil {
		return fmt.Errorf("note sources: %w", err)
	}
	if _, err := lock.WriteAt([]byte(lines.String()), 0); err != nil {
		return fmt.Errorf("note sources: %w", err)
	}
	return nil
}

// errNoSource answers when a running mesh reads files only.
var errNoSource = errors.New("the mesh was started with files only (up -f FILE), so there is no directory to put another into: name a file with -o and start the mesh with the directory")

// Source is the first directory that the running mesh reads objects from.
func (p Paths) Source() (string, error) {
	if !p.Running() {
		return "", fmt.Errorf("no mesh runs in %s: start one with `wasmesh up -f DIR`, name its directory with --data-dir, or name a file with -o", p.Root)
	}
	content, err := os.ReadFile(p.lockFile())
	if err != nil {
		return "", fmt.Errorf("find what the mesh reads: %w", err)
	}
	for source := range strings.Lines(string(content)) {
		source = strings.TrimSuffix(source, "\n")
		if info, err := os.Stat(source); err == nil && info.IsDir() {
			return source, nil
		}
	}
	return "", errNoSource
}
