package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// found is a listed model: everything that a pull needs to know before it fetches.
type found struct {
	place *place
	// path and schemaPath are clean; schemaPath is empty when the model has no schema.
	path, schemaPath string
	model            []object
	// schema is one object, or none.
	schema []object
}

// find resolves the reference and lists the model.
func (s *Store) find(ctx context.Context, ref *syncv1.StorageReference) (f found, err error) {
	if f.path, err = cleanPath(ref.GetPath()); err != nil {
		return f, err
	}
	if f.schemaPath, err = cleanPath(ref.GetSchemaPath()); err != nil {
		return f, err
	}
	s.mu.Lock()
	entries := s.entries
	s.mu.Unlock()
	loc, err := resolve(entries, ref)
	if err != nil {
		return f, err
	}
	if f.place, err = s.place(ctx, loc); err != nil {
		return f, err
	}
	f.model, err = s.list(ctx, f.place, f.path)
	return f, err
}

// findSchema lists the schema, if the model has one.
func (s *Store) findSchema(ctx context.Context, f *found) (err error) {
	if f.schemaPath == "" {
		return nil
	}
	if f.schema, err = s.list(ctx, f.place, f.schemaPath); err != nil {
		return err
	}
	if f.schema[0].rel != "" {
		return errorf(Misconfigured, "schema path %s%s is a directory; give the path of the schema file",
			f.place.uri(f.schemaPath), f.place.at)
	}
	return nil
}

func (s *Store) artifact(modelID string, f found) Artifact {
	modelName, schemaName := localNames(f.path, f.schemaPath)
	dir := filepath.Join(s.cfg.ModelsDir, modelID)
	a := Artifact{Path: filepath.Join(dir, modelName), Bytes: totalBytes(f.model)}
	if schemaName != "" {
		a.SchemaPath = filepath.Join(dir, schemaName)
	}
	return a
}

// symbolicLinks leads into the mounted volume.
func (f found) symbolicLinks() []link {
	modelName, schemaName := localNames(f.path, f.schemaPath)
	links := []link{{rel: modelName, target: filepath.Join(f.place.link, filepath.FromSlash(f.path))}}
	if schemaName != "" {
		links = append(links, link{rel: schemaName, target: filepath.Join(f.place.link, filepath.FromSlash(f.schemaPath))})
	}
	return links
}

// contents is a digest of everything that the materialised directory depends on.
func (f found) contents() string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q\n", f.place.identity, f.place.link, f.path, f.schemaPath)
	for _, o := range slices.Concat(f.model, f.schema) {
		fmt.Fprintf(h, "%q %s\n", o.rel, objectName(f.place.identity, o))
	}
	return hex.EncodeToString(h.Sum(nil))
}

func totalBytes(objects []object) (n int64) {
	for _, o := range objects {
		n += o.size
	}
	return n
}
