package standalone

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/wasmesh/wasmesh/controller/policies"
)

// Names below the folder of policies: the record, and "<SHA-256 in hex>.wasm" of each module that it names.
const (
	policiesFile = "policies.json"
	moduleSuffix = ".wasm"
)

// SavePolicies implements policies.Store. Modules are durable before the record that names them, and what no record names
// goes last.
func (s *State) SavePolicies(record []byte, modules map[string][]byte) error {
	folder := filepath.Join(s.path, policiesFolder)
	for digest, module := range modules {
		path := filepath.Join(folder, digest+moduleSuffix)
		if info, err := os.Stat(path); err == nil && info.Size() == int64(len(module)) {
			continue
		}
		if err := renameInto(path, module); err != nil {
			return err
		}
	}
	// Makes the names of the modules durable as well.
	if err := replaceFile(filepath.Join(folder, policiesFile), record); err != nil {
		return err
	}
	kept, err := filepath.Glob(filepath.Join(folder, "*"+moduleSuffix))
	if err != nil {
		return fmt.Errorf("forget policy modules: %w", err)
	}
	for _, path := range kept {
		if _, wanted := modules[strings.TrimSuffix(filepath.Base(path), moduleSuffix)]; !wanted {
			_ = os.Remove(path) // It is tried again at the next save.
		}
	}
	return nil
}

// Policies answers what SavePolicies last kept. A module that is damaged counts as absent.
func (s *State) Policies() policies.Restored {
	folder := filepath.Join(s.path, policiesFolder)
	record, err := os.ReadFile(filepath.Join(folder, policiesFile))
	if err != nil {
		if !os.IsNotExist(err) {
			s.report(policiesFile, err)
		}
		return policies.Restored{}
	}
	restored := policies.Restored{Record: record, Modules: map[string][]byte{}}
	names, _ := filepath.Glob(filepath.Join(folder, "*"+moduleSuffix)) // The pattern is well formed.
	for _, path := range names {
		module, err := os.ReadFile(path)
		digest := strings.TrimSuffix(filepath.Base(path), moduleSuffix)
		if sum := sha256.Sum256(module); err == nil && hex.EncodeToString(sum[:]) != digest {
			err = fmt.Errorf("its content is not of that digest")
		}
		if err != nil {
			s.report(filepath.Join(policiesFolder, filepath.Base(path)), err)
			_ = os.Remove(path) // Otherwise its size could make it pass for whole.
			continue
		}
		restored.Modules[digest] = module
	}
	return restored
}
