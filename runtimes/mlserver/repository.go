package mlserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/wasmesh/wasmesh/runtimes"
)

const (
	// repositoryName is ModelMesh's, so that a ServingRuntime that was written for it names the right directory.
	repositoryName = "_mlserver_models"
	// loadedFile is what settingsFile is called while the model is loaded. MLServer globs and parses every settings file
	// of its repository on each load, 1.5 to 2 ms of its event loop each, and needs none of a loaded model.
	loadedFile = "model-settings.loaded.json"
)

// RepositoryDir is the model repository that MLServer must be started on, below the directory that host and server share.
func RepositoryDir(modelsDir string) string { return filepath.Join(modelsDir, repositoryName) }

// repository is MLServer's model repository on disk: one directory a model, named by its id. A directory stands from
// before the load until after the unload, so the directories name every model that the server may hold.
type repository struct {
	root string
}

// dir answers the directory of a model. Ids are made by the mesh; one that is no plain file name would leave the root.
func (r repository) dir(id string) (string, error) {
	if id == "" || id == "." || id == ".." || strings.ContainsAny(id, "/\x00") {
		return "", fmt.Errorf("model id %q cannot name a directory", id)
	}
	return filepath.Join(r.root, id), nil
}

// lay writes the directory of a model and answers its settings. Errors are of kind ModelRejected where the model's own
// files are at fault, else Unavailable.
func (r repository) lay(model runtimes.Model) (settings, error) {
	dir, err := r.dir(model.ID)
	if err != nil {
		return nil, rejected(err)
	}
	native, err := nativeSettings(model.Path)
	if err != nil {
		return nil, rejected(err)
	}
	s, err := compose(model, native)
	if err != nil {
		return nil, rejected(err)
	}
	if err := r.write(dir, model.Path, s, native != nil); err != nil {
		return nil, &runtimes.Error{
			Kind:    runtimes.Unavailable,
			Message: fmt.Sprintf("lay out model files for MLServer: %v", err),
			Err:     err,
		}
	}
	return s, nil
}

// nativeSettings answers the bytes of the settings file at the top of a model directory, or nil.
func nativeSettings(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open model files: %w", err)
	}
	if !info.IsDir() {
		return nil, nil
	}
	raw, err := os.ReadFile(filepath.Join(path, settingsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return raw, err
}

func compose(model runtimes.Model, native []byte) (s settings, err error) {
	if native != nil {
		s, err = adopted(model.ID, model.Path, native)
	} else {
		s, err = generated(model.ID, model.FormatName, model.Path)
	}
	if err != nil {
		return nil, err
	}
	if native != nil && !s.named() {
		if class := implementation(model.FormatName); class != "" {
			s["implementation"] = class
		}
	}
	if model.SchemaPath == "" {
		return s, nil
	}
	raw, err := os.ReadFile(model.SchemaPath)
	if err != nil {
		return nil, fmt.Errorf("open schema: %w", err)
	}
	return s, s.inject(raw)
}

// write replaces dir. The settings file comes last and whole, since MLServer scans the repository at any time.
func (r repository) write(dir, source string, s settings, native bool) error {
	raw, err := s.encode()
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if native {
		// Code beside the settings file is imported from the directory of the settings file.
		if err := linkTree(source, dir); err != nil {
			return err
		}
	}
	partial := filepath.Join(dir, ".partial")
	if err := os.WriteFile(partial, raw, 0o644); err != nil {
		return err
	}
	return os.Rename(partial, filepath.Join(dir, settingsFile))
}

// linkTree rebuilds the directories of source under target and links their files, but for settings files: one in a
// subdirectory would be a second model to MLServer, under whatever name it says.
func linkTree(source, target string) error {
	entries, err := os.ReadDir(source)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		from, to := filepath.Join(source, entry.Name()), filepath.Join(target, entry.Name())
		switch {
		case entry.IsDir():
			if err := os.Mkdir(to, 0o755); err != nil {
				return err
			}
			if err := linkTree(from, to); err != nil {
				return err
			}
		case entry.Name() == settingsFile:
		default:
			if err := os.Symlink(from, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle takes a loaded model's settings out of MLServer's sight. Failing to costs time on later loads, nothing else.
func (r repository) settle(id string) {
	if dir, err := r.dir(id); err == nil {
		_ = os.Rename(filepath.Join(dir, settingsFile), filepath.Join(dir, loadedFile))
	}
}

// remove deletes a model's directory; MLServer must not hold the model any more.
func (r repository) remove(id string) error {
	dir, err := r.dir(id)
	if err != nil {
		return nil // never laid out
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove model files: %w", err)
	}
	return nil
}

// ids answers the models that have a directory.
func (r repository) ids() ([]string, error) {
	entries, err := os.ReadDir(r.root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list model repository: %w", err)
	}
	var ids []string
	for _, entry := range entries {
		ids = append(ids, entry.Name())
	}
	return ids, nil
}

// clear empties the repository and makes sure that it exists.
func (r repository) clear() error {
	ids, err := r.ids()
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := r.remove(id); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(r.root, 0o755); err != nil {
		return fmt.Errorf("make model repository: %w", err)
	}
	return nil
}

func rejected(err error) error {
	return &runtimes.Error{Kind: runtimes.ModelRejected, Message: err.Error(), Err: err}
}
