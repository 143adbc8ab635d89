package storage

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/wasmesh/wasmesh/host/storage/rootblob"
)

// openFile opens {"type":"file","directory":"/absolute/path"}: models are fetched from a local directory as from any
// bucket. Only directories below Config.FileRoots are opened, since whoever writes an InferenceService can name one.
func (s *Store) openFile(_ context.Context, loc location) (*place, error) {
	dir, err := loc.required("directory")
	if err != nil {
		return nil, err
	}
	if !filepath.IsAbs(dir) {
		return nil, errorf(Misconfigured, "\"directory\" in %s is %q; it must be an absolute path", loc.describe(), dir)
	}
	dir = filepath.Clean(dir)
	if !s.fileAllowed(dir) {
		return nil, errorf(Denied, "storage of type file may not read %q on this host; use a directory below one of its "+
			"file roots (%s), or s3", dir, strings.Join(s.cfg.FileRoots, ", "))
	}
	return directory(place{
		identity: "file\x00" + dir, url: "file://" + dir,
		advice: "check the path and \"directory\" in " + loc.describe(),
	}, dir), nil
}

// fileAllowed compares real paths, so that a link below a root cannot lead out of it.
func (s *Store) fileAllowed(dir string) bool {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	for _, root := range s.cfg.FileRoots {
		if real, err := filepath.EvalSymlinks(root); err == nil {
			root = real
		}
		if rel, err := filepath.Rel(root, dir); err == nil && filepath.IsLocal(rel) {
			return true
		}
	}
	return false
}

// openPVC opens {"type":"pvc","name":"claim"}: the volume is mounted here, and models are linked to in place.
func (s *Store) openPVC(_ context.Context, loc location) (*place, error) {
	name, err := loc.required("name")
	if err != nil {
		return nil, err
	}
	if why := badName(name); why != "" || strings.Contains(name, "/") {
		return nil, errorf(Misconfigured, "\"name\" in %s is %q, which no PersistentVolumeClaim can be called",
			loc.describe(), name)
	}
	dir, ok := s.cfg.PVCs[name]
	switch {
	case ok:
	case s.cfg.PVCRoot != "":
		dir = filepath.Join(s.cfg.PVCRoot, name)
	default:
		return nil, errorf(Misconfigured, "PersistentVolumeClaim %q is not mounted in this host, which has no volumes; "+
			"use s3, or configure the host's volumes", name)
	}
	p := directory(place{
		identity: "pvc\x00" + name, url: "pvc://" + name,
		advice: "check that the claim exists, is mounted at " + dir + " (one that storage-config does not name is only with allowAnyPVC) and holds the model's path",
	}, dir)
	p.link = dir
	return p, nil
}

func directory(p place, dir string) *place {
	p.open = func() (*blob.Bucket, error) { return rootblob.Open(dir) }
	p.dialect = fileDialect{}
	return &p
}

// fileDialect serves rootblob buckets.
type fileDialect struct{}

// only has a rootblob bucket list one path and nothing beside it; to other buckets it means nothing.
func only(path string) func(as func(any) bool) error {
	return func(as func(any) bool) error {
		var o *rootblob.Only
		if as(&o) {
			o.Path = path
		}
		return nil
	}
}

func (fileDialect) describe(listed *blob.ListObject) (key, version string) {
	var info fs.FileInfo
	if listed.As(&info) {
		version = rootblob.Version(info)
	}
	return listed.Key, version
}

func (fileDialect) pin(obj object) *blob.ReaderOptions {
	return &blob.ReaderOptions{BeforeRead: func(as func(any) bool) error {
		var c *rootblob.Condition
		if as(&c) {
			c.Version = obj.version
		}
		return nil
	}}
}

// same is rootblob's to tell: it checks before and after each read.
func (fileDialect) same(*blob.Reader, object) bool { return true }

func (fileDialect) changed(err error) bool { return changedCode(err) }

func (fileDialect) explain(err error) (Kind, string) {
	switch code := gcerrors.Code(err); {
	case code == gcerrors.NotFound || errors.Is(err, fs.ErrNotExist):
		return NotFound, "no such file or directory"
	case code == gcerrors.PermissionDenied || errors.Is(err, fs.ErrPermission):
		return Denied, "permission denied"
	case errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ESTALE) || errors.Is(err, syscall.ETIMEDOUT):
		return Unavailable, reasonOf(err) // a network volume
	}
	return Misconfigured, reasonOf(err)
}
