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
	kept, err := modulesIn(folder)
	if err != nil {
		return fmt.Errorf("forget policy modules: %w", err)
	}
	for _, digest := range kept {
		if _, wanted := modules[digest]; !wanted {
			_ = os.Remove(filepath.Join(folder, digest+moduleSuffix)) // It is tried again at the next save.
		}
	}
	return nil
}

// modulesIn answers the digests that files of a folder are named by.
func modulesIn(folder string) (digests []string, err error) {
	entries, err := os.ReadDir(folder)
	for _, entry := range entries {
		if digest, is := strings.CutSuffix(entry.Name(), moduleSuffix); is {
			digests = append(digests, digest)
		}
	}
	return digests, err
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
	digests, err := modulesIn(folder)
	if err != nil {
		s.report(policiesFolder, err)
	}
	for _, digest := range digests {
		path := filepath.Join(folder, digest+moduleSuffix)
		module, err := os.ReadFile(path)
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
