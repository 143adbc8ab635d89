package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// maxListings bounds how often one pull lists anew because objects changed while it fetched them.
const maxListings = 4

// Size answers what a pull of ref would bring, without the schema: one listing, no download.
func (s *Store) Size(ctx context.Context, ref *syncv1.StorageReference) (sizeBytes int64, objects int, err error) {
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer end()
	f, err := s.find(ctx, ref)
	if err != nil {
		return 0, 0, contextError("list the model", err)
	}
	return totalBytes(f.model), len(f.model), nil
}

// Pull puts the model at <models>/<modelID>/<base name of its path> ("_model" for a bucket's root) and its schema
// beside it, as the bucket has them now, fetching what the cache lacks. Calls for one model id wait for each other.
// Where the directory is already what the bucket has, it is left alone.
//
// Errors are *Error or wrap ctx's own; after an error everything is as it was before, and nothing of the call runs on.
func (s *Store) Pull(ctx context.Context, modelID string, ref *syncv1.StorageReference) (Artifact, error) {
	action := "pull model " + modelID
	if why := badModelID(modelID); why != "" {
		return Artifact{}, errorf(Misconfigured, "model id %q cannot name a directory: it %s", modelID, why)
	}
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return Artifact{}, err
	}
	defer end()
	unlock, err := s.locks.lock(ctx, modelID)
	if err != nil {
		return Artifact{}, contextError(action, err)
	}
	defer unlock()
	start := time.Now()
	for listing := 1; ; listing++ {
		a, err := s.pullOnce(ctx, modelID, ref)
		switch {
		case err == nil:
			s.log.Debug("model materialised", "model", modelID, "bytes", a.Bytes, "seconds", time.Since(start).Seconds())
			return a, nil
		case !errors.Is(err, errChanged) && !errors.Is(err, errLost):
			return Artifact{}, contextError(action, diskError(err))
		case listing == maxListings:
			return Artifact{}, errorf(Unavailable, "the objects of the model at %q kept changing while they were fetched; "+
				"it is tried again", ref.GetPath())
		}
		if err := wait(ctx, firstBackoff<<(listing-1)); err != nil {
			return Artifact{}, contextError(action, err)
		}
	}
}

// Remove takes the model's directory down. Its objects stay cached until their room is needed. A model that is not
// there is success. It waits for a Pull of the same model.
func (s *Store) Remove(ctx context.Context, modelID string) error {
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	unlock, err := s.locks.lock(ctx, modelID)
	if err != nil {
		return contextError("remove model "+modelID, err)
	}
	defer unlock()
	m := s.materialised(modelID)
	if m == nil {
		return nil
	}
	if err := s.tree.remove(modelID, s.scratchName()); err != nil {
		return diskError(err)
	}
	s.mu.Lock()
	delete(s.models, modelID)
	s.mu.Unlock()
	s.disk.release(m.entries)
	return nil
}

// pullOnce brings the model as one listing shows it.
func (s *Store) pullOnce(ctx context.Context, modelID string, ref *syncv1.StorageReference) (Artifact, error) {
	f, err := s.find(ctx, ref)
	if err == nil {
		err = s.findSchema(ctx, &f)
	}
	if err != nil {
		return Artifact{}, err
	}
	old := s.materialised(modelID)
	contents := f.contents()
	if old != nil && old.contents == contents && exists(old.artifact.Path) {
		return old.artifact, nil
	}
	m := &model{contents: contents, artifact: s.artifact(modelID, f)}
	var links []link
	if f.place.link != "" {
		links = f.symbolicLinks()
	} else if links, m.entries, err = s.gather(ctx, f); err != nil {
		return Artifact{}, err
	}
	if err := s.tree.build(modelID, s.scratchName(), links); err != nil {
		s.disk.release(m.entries)
		return Artifact{}, err
	}
	s.calls.Go(func() { s.tree.prepare(s.scratchName()) })
	s.mu.Lock()
	s.models[modelID] = m
	s.mu.Unlock()
	if old != nil {
		s.disk.release(old.entries)
	}
	return m.artifact, nil
}

// gather has every object on disk, held by a reference that goes to the caller.
func (s *Store) gather(ctx context.Context, f found) (links []link, entries []*entry, err error) {
	objects := slices.Concat(f.model, f.schema)
	index := map[string]int{}
	var wants []want
	var distinct []object
	for _, o := range objects {
		name := objectName(f.place.identity, o)
		if _, ok := index[name]; !ok {
			index[name] = len(wants)
			wants = append(wants, want{name: name, size: o.size})
			distinct = append(distinct, o)
		}
	}
	if entries, err = s.disk.admit(wants); err != nil {
		return nil, nil, err
	}
	if err := s.fetchAll(ctx, f.place, distinct, entries); err != nil {
		s.disk.release(entries)
		return nil, nil, err
	}
	modelName, schemaName := localNames(f.path, f.schemaPath)
	for i, o := range objects {
		rel := schemaName
		if i < len(f.model) {
			rel = path.Join(modelName, o.rel)
		}
		links = append(links, link{rel: rel, entry: entries[index[objectName(f.place.identity, o)]]})
	}
	return links, entries, nil
}

// fetchAll waits for all objects; the first failure ends the others.
func (s *Store) fetchAll(ctx context.Context, p *place, objects []object, entries []*entry) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(s.cfg.PullConcurrency)
	for i, o := range objects {
		if s.disk.has(entries[i]) {
			continue
		}
		group.Go(func() error {
			return s.disk.fetch(ctx, entries[i], func(ctx context.Context, f *os.File) error {
				return s.download(ctx, p, o, f)
			})
		})
	}
	return group.Wait()
}

func (s *Store) materialised(modelID string) *model {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.models[modelID]
}

// contextError says what was under way when a context ended; other errors say it themselves.
func contextError(action string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", action, err)
	}
	return err
}

// exists looks, because a runtime that owns the directory may have cleaned it.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
