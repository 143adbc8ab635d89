package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// moduleCache is the directory of a rewritten module's machine code. Using it makes it the most recently used one.
func (e *Engine) moduleCache(wasm []byte) string {
	dir := e.moduleCacheName(wasm)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return dir // wazero will fail on it, and say why.
	}
	now := time.Now()
	_ = os.Chtimes(dir, now, now) // At worst it is removed too early.
	e.pruneCache(dir)
	return dir
}

func (e *Engine) moduleCacheName(wasm []byte) string {
	digest := sha256.Sum256(wasm)
	return filepath.Join(e.cacheDir, hex.EncodeToString(digest[:16]))
}

func (e *Engine) dropModuleCache(wasm []byte) { _ = os.RemoveAll(e.moduleCacheName(wasm)) }

// pruneCache removes the least recently used modules. Programs that run do not need theirs: code is read into memory.
func (e *Engine) pruneCache(keep string) {
	entries, err := os.ReadDir(e.cacheDir)
	if err != nil || len(entries) <= e.limits.CachedModules {
		return
	}
	used := func(entry os.DirEntry) time.Time {
		info, err := entry.Info()
		if err != nil {
			return time.Time{}
		}
		return info.ModTime()
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int {
		return cmp.Or(used(a).Compare(used(b)), cmp.Compare(a.Name(), b.Name()))
	})
	for _, entry := range entries[:len(entries)-e.limits.CachedModules] {
		if path := filepath.Join(e.cacheDir, entry.Name()); path != keep && isModuleCache(entry) {
			_ = os.RemoveAll(path)
		}
	}
}

// isModuleCache keeps pruning away from what somebody else put into the directory.
func isModuleCache(entry os.DirEntry) bool {
	name, err := hex.DecodeString(entry.Name())
	return err == nil && len(name) == 16 && entry.IsDir()
}
