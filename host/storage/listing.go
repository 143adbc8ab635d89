package storage

import (
	"context"
	"path"
	"slices"
	"strings"
	"time"

	"gocloud.dev/blob"
)

const (
	// listPageSize is S3's own maximum.
	listPageSize = 1000
	// listPageTimeout bounds one page, the client's own retries included; a server that accepts and says nothing would
	// otherwise hold the load for as long as its caller waits.
	listPageTimeout = time.Minute
)

// list answers the objects that make up modelPath (a clean path), sorted by key: the one object of that very key, or
// what lies below "modelPath/".
//
// One request does in the usual case. Where over a page of siblings share the prefix ("m1" beside "m10" to "m1999"),
// they are not all listed: the exact key sorts first, and the rest is asked for with the slash.
func (s *Store) list(ctx context.Context, p *place, modelPath string) ([]object, error) {
	b, err := p.open()
	if err != nil {
		return nil, p.fail(ctx, modelPath, err)
	}
	defer b.Close()
	l := lister{store: s, place: p, bucket: b, path: modelPath}
	next, err := l.page(ctx, modelPath, blob.FirstPageToken)
	if err != nil {
		return nil, err
	}
	prefix := modelPath
	if next != nil && modelPath != "" {
		l.found = slices.DeleteFunc(l.found, func(o object) bool { return o.rel != "" })
		prefix, next = modelPath+"/", blob.FirstPageToken
	}
	for next != nil {
		if next, err = l.page(ctx, prefix, next); err != nil {
			return nil, err
		}
	}
	return l.result()
}

type lister struct {
	store  *Store
	place  *place
	bucket *blob.Bucket
	path   string
	found  []object
}

// page adds one page and answers the token of the next, nil when there is none.
func (l *lister) page(ctx context.Context, prefix string, token []byte) ([]byte, error) {
	pageCtx, cancel := context.WithTimeout(ctx, listPageTimeout)
	defer cancel()
	objects, next, err := l.bucket.ListPage(pageCtx, token, listPageSize, &blob.ListOptions{Prefix: prefix, BeforeList: only(l.path)})
	if err != nil {
		if ctx.Err() == nil && pageCtx.Err() != nil {
			return nil, errorf(Unavailable, "%s%s: no listing within %v; it is tried again",
				l.place.uri(l.path), l.place.at, listPageTimeout)
		}
		return nil, l.place.fail(ctx, l.path, err)
	}
	for _, listed := range objects {
		if err := l.add(listed); err != nil {
			return nil, err
		}
	}
	if len(next) == 0 {
		return nil, nil
	}
	return next, nil
}

// add takes one listed object if it is part of the model, and refuses what cannot be a file below the model's
// directory.
func (l *lister) add(listed *blob.ListObject) error {
	key, version := l.place.dialect.describe(listed)
	rel, ok := relative(l.path, key)
	if !ok || listed.IsDir || strings.HasSuffix(key, "/") {
		return nil
	}
	if rel != "" {
		if why := badKey(rel); why != "" {
			return errorf(Misconfigured, "object %q in %s%s cannot become a file: its key %s; rename the object",
				key, l.place.url, l.place.at, why)
		}
	}
	if limit := l.store.cfg.MaxFiles; len(l.found) >= limit {
		return errorf(TooLarge, "%s%s holds more than %d objects, the most that a model may have; correct storage.path",
			l.place.uri(l.path), l.place.at, limit)
	}
	l.found = append(l.found, object{key: key, version: version, size: listed.Size, modTime: listed.ModTime, rel: rel})
	return nil
}

// result drops markers of directories, refuses layouts that no directory can have, and checks the bounds.
func (l *lister) result() ([]object, error) {
	parents := map[string]bool{}
	for _, o := range l.found {
		if o.rel == "" {
			continue
		}
		for dir := path.Dir(o.rel); dir != "."; dir = path.Dir(dir) {
			parents[dir] = true
		}
		if l.path != "" {
			parents[""] = true
		}
	}
	objects := make([]object, 0, len(l.found))
	var total int64
	for _, o := range l.found {
		switch {
		case !parents[o.rel]:
			objects = append(objects, o)
			total += o.size
		case o.size > 0:
			return nil, errorf(Misconfigured, "%s%s is an object and a directory at once; remove one of them, or give "+
				"the model a path of its own", l.place.uri(o.key), l.place.at)
		}
	}
	if len(objects) == 0 {
		return nil, errorf(NotFound, "no objects under %s%s; %s", l.place.uri(l.path), l.place.at, l.place.advice)
	}
	if limit := l.store.cfg.MaxModelBytes; total > limit {
		return nil, errorf(TooLarge, "%s%s holds %d bytes, over the limit of %d bytes for one model",
			l.place.uri(l.path), l.place.at, total, limit)
	}
	slices.SortFunc(objects, func(a, b object) int { return strings.Compare(a.key, b.key) })
	return objects, nil
}
