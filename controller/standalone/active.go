package standalone

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/controller/decide"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// parallelWrites of active models: a disk takes many fsyncs in one go, so that ten thousand new models take seconds
// instead of minutes.
const parallelWrites = 32

// SaveDecision implements reconcile.Store: one file for each object's active model, and one for all refused targets;
// all of it at once, since a file costs little.
func (s *State) SaveDecision(active map[decide.Key]*syncv1.Model, refused map[decide.Key]string, _ map[decide.Key]bool) error {
	folder := filepath.Join(s.path, activeFolder)
	var group errgroup.Group
	group.SetLimit(parallelWrites)
	changed := false
	for key, model := range active {
		if before := s.active[key]; before != model && !proto.Equal(before, model) {
			changed = true
			group.Go(func() error { return writeActive(filepath.Join(folder, activeName(key)), model) })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for key := range s.active {
		if active[key] == nil {
			changed = true
			if err := os.Remove(filepath.Join(folder, activeName(key))); err != nil && !os.IsNotExist(err) {
				return fmt.Errorf("forget active model: %w", err)
			}
		}
	}
	if changed {
		if err := syncFolder(folder); err != nil {
			return err
		}
	}
	s.active = active
	return s.saveRefused(refused)
}

func writeActive(path string, model *syncv1.Model) error {
	data, err := protojson.Marshal(model)
	if err != nil {
		return fmt.Errorf("write active model %s: %w", model.GetId(), err)
	}
	return renameInto(path, data)
}

// longestName that goes into a file name as it is: file systems allow 255 bytes for all of it, Kubernetes 253 for the name.
const longestName = 150

// activeName is "<namespace>.<kind>.<name>.json"; neither namespace nor kind has a dot. In the place of a long name stands
// "~" and a digest, and the model tells its name.
func activeName(key decide.Key) string {
	name := key.Name
	if len(name) > longestName {
		name = fmt.Sprintf("~%x", sha256.Sum256([]byte(name)))
	}
	return key.Namespace + "." + key.Kind + "." + name + ".json"
}

func parseActiveName(name string) (decide.Key, bool) {
	name, isJSON := strings.CutSuffix(name, ".json")
	parts := strings.SplitN(name, ".", 3)
	if !isJSON || len(parts) != 3 {
		return decide.Key{}, false
	}
	return decide.Key{Namespace: parts[0], Kind: parts[1], Name: parts[2]}, true
}

func (s *State) loadActive() {
	s.active = map[decide.Key]*syncv1.Model{}
	entries, err := os.ReadDir(filepath.Join(s.path, activeFolder))
	if err != nil {
		s.report(activeFolder, err)
		return
	}
	for _, entry := range entries {
		key, ok := parseActiveName(entry.Name())
		if !ok {
			continue
		}
		name := filepath.Join(activeFolder, entry.Name())
		data, err := os.ReadFile(filepath.Join(s.path, name))
		model := &syncv1.Model{}
		if err == nil {
			err = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, model)
		}
		if err == nil && model.GetId() == "" {
			err = errors.New("no model in it")
		}
		if err != nil {
			s.report(name, err)
			continue
		}
		if strings.HasPrefix(key.Name, "~") {
			key.Name = model.GetAlias()
		}
		s.active[key] = model
	}
}

// refusedEntry is one target in the file of refused ones.
type refusedEntry struct {
	decide.Key
	ModelID string `json:"modelId"`
}

func (s *State) saveRefused(refused map[decide.Key]string) error {
	if maps.Equal(refused, s.refused) {
		return nil
	}
	list := make([]refusedEntry, 0, len(refused))
	for key, id := range refused {
		list = append(list, refusedEntry{Key: key, ModelID: id})
	}
	if err := s.save(refusedFile, list); err != nil {
		return fmt.Errorf("save refused targets: %w", err)
	}
	s.refused = refused
	return nil
}

func (s *State) loadRefused() {
	var list []refusedEntry
	s.load(refusedFile, &list)
	s.refused = map[decide.Key]string{}
	for _, entry := range list {
		s.refused[entry.Key] = entry.ModelID
	}
}
