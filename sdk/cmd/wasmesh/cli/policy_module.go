package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/policytest"
)

// Limits of files that are read whole: the engine's of a module, and more than any configuration of lines of integers.
const (
	maxModuleBytes = 16 << 20
	maxConfigBytes = 1 << 20
)

// withModule opens the module that the arguments name, and answers the directory that it lies in.
func withModule(command *cobra.Command, args []string, use func(module *policytest.Module, dir string) error) (err error) {
	path, dir, err := modulePath(args)
	if err != nil {
		return err
	}
	if source := newerSource(path, dir, args); source != "" {
		fmt.Fprintf(command.ErrOrStderr(), "Warning: %s is newer than %s: `wasmesh policy build %s` builds it anew.\n", source, filepath.Base(path), dir)
	}
	content, err := readLimited(path, maxModuleBytes)
	if err != nil {
		return err
	}
	e, err := engine.New(engine.Config{CacheDir: compiledDir()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	module, err := policytest.Open(e, moduleName(path), content)
	if err != nil {
		return err
	}
	defer module.Close()
	return use(module, dir)
}

// compiledDir keeps machine code, so that a module is compiled once for all its configurations. Without a home directory
// every use compiles.
func compiledDir() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "wasmesh", "compiled-policies")
}

// moduleName is the file's without what says that it is a module.
func moduleName(path string) string {
	return strings.TrimSuffix(strings.TrimSuffix(filepath.Base(path), ".gz"), ".wasm")
}

func directory(args []string) string {
	if len(args) == 0 {
		return "."
	}
	return args[0]
}

// modulePath finds the module of DIR, of FILE, or of the present directory: the one named like the folder, as `policy
// build` makes it, or the only one.
func modulePath(args []string) (path, dir string, err error) {
	path = directory(args)
	info, err := os.Stat(path)
	if err != nil {
		return "", "", fmt.Errorf("open policy: %w: name a policy's folder, or a file NAME.wasm", err)
	}
	if !info.IsDir() {
		return path, filepath.Dir(path), nil
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", "", err
	}
	built := filepath.Join(path, filepath.Base(absolute)+".wasm")
	if _, err := os.Stat(built); err == nil {
		return built, path, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return "", "", err
	}
	var found []string
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".wasm") {
			found = append(found, filepath.Join(path, entry.Name()))
		}
	}
	switch len(found) {
	case 1:
		return found[0], path, nil
	case 0:
		return "", "", fmt.Errorf("%s has no module: `wasmesh policy build %[1]s` makes one", path)
	}
	return "", "", fmt.Errorf("%s has several modules, %s: name one", path, strings.Join(found, ", "))
}

// newerSource names a source in the folder that has changed since the module was built; empty when there is none, or when
// the module was named itself. Files of a clone are about as old as each other.
func newerSource(module, dir string, args []string) string {
	const about = 2 * time.Second
	built, err := os.Stat(module)
	if err != nil || directory(args) == module {
		return ""
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	for _, entry := range entries {
		info, err := entry.Info()
		source := slices.Contains([]string{".c", ".h", ".rs", ".ts", ".go"}, filepath.Ext(entry.Name()))
		if err == nil && source && info.ModTime().After(built.ModTime().Add(about)) {
			return entry.Name()
		}
	}
	return ""
}

// readLimited reads a file of at most so many bytes, without taking more into memory.
func readLimited(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // Only read.
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("read %s: it has more than %d bytes, which is what is allowed", path, limit)
	}
	return content, nil
}

// optionalFile reads a policy's configuration; no path is none.
func optionalFile(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	content, err := readLimited(path, maxConfigBytes)
	return string(content), err
}
