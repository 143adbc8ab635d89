package storage

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// place is a bucket or volume that a location names, ready to be opened. It holds no connection.
type place struct {
	// identity is the same for the same bytes whoever asks: it goes into cache keys, so no credential is in it.
	identity string
	// url and at name the place in messages: "s3://models", " at http://minio:9000". prefix of every path message.
	url, at string
	// advice ends a message about a missing path or refused access: where the settings came from.
	advice string
	// open answers a bucket that the caller closes. Cheap: connections are kept elsewhere.
	open    func() (*blob.Bucket, error)
	dialect dialect
	// denied, when set, is called after each refused access, to drop credentials that were found and not given.
	denied func()
	// link, when set, is the local directory that models are linked into in place, instead of being fetched.
	link string
}

// dialect is what gocloud.dev/blob leaves to each kind of bucket.
type dialect interface {
	// describe answers the object's own name and a version that changes whenever the bytes do.
	describe(listed *blob.ListObject) (key, version string)
	// pin makes a read fail when the object is no longer this version.
	pin(obj object) *blob.ReaderOptions
	// same tells whether what was opened is this version, for buckets that ignore pin.
	same(r *blob.Reader, obj object) bool
	// changed tells from a failed read that the object is no longer the one that was listed.
	changed(err error) bool
	// explain answers the kind of a bucket's failure and its reason in short, without credentials.
	explain(err error) (Kind, string)
}

// opener turns settings into a place, or says what is wrong with them. It does not check that the place exists.
type opener func(ctx context.Context, loc location) (*place, error)

// place answers where a resolved location is.
func (s *Store) place(ctx context.Context, loc location) (*place, error) {
	open, ok := s.openers[loc.typ]
	if !ok {
		said := loc.describe()
		if loc.overridden[typeKey] {
			said = "the storageUri or storage.parameters"
		}
		return nil, errorf(Misconfigured, "storage type %q is not supported (it comes from %s); the supported ones are: %s",
			loc.typ, said, strings.Join(s.supported(), ", "))
	}
	return open(ctx, loc)
}

// supported answers the types that this host has anything to open for.
func (s *Store) supported() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.openers)), func(typ string) bool {
		return typ == "file" && len(s.cfg.FileRoots) == 0 || typ == "pvc" && len(s.cfg.PVCs) == 0 && s.cfg.PVCRoot == ""
	})
}

// object is one listed object of a model.
type object struct {
	key     string
	version string
	size    int64
	modTime time.Time
	// rel is where it lies below the model's path; empty when it is the path itself.
	rel string
}

// uri names an object or path for messages.
func (p *place) uri(path string) string {
	if path == "" {
		return p.url
	}
	return p.url + "/" + path
}

// fail turns an error of the bucket into one for the user. A change since the listing stays errChanged, and an end of
// ctx stays that.
func (p *place) fail(ctx context.Context, path string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, ok := errors.AsType[*Error](err); ok || errors.Is(err, errChanged) {
		return err
	}
	kind, reason := p.dialect.explain(err)
	if kind == Denied && p.denied != nil {
		p.denied()
	}
	switch kind {
	case NotFound:
		return errorf(kind, "%s%s does not exist (%s); %s", p.uri(path), p.at, reason, p.advice)
	case Denied:
		return errorf(kind, "access to %s%s denied (%s); %s", p.uri(path), p.at, reason, p.advice)
	case Unavailable:
		return errorf(kind, "%s%s cannot be read now (%s); it is tried again", p.uri(path), p.at, reason)
	default:
		return errorf(kind, "%s%s cannot be read (%s); %s", p.uri(path), p.at, reason, p.advice)
	}
}

// changedCode is what drivers that use portable error codes say of an object that was replaced or removed.
func changedCode(err error) bool {
	code := gcerrors.Code(err)
	return code == gcerrors.NotFound || code == gcerrors.FailedPrecondition
}

// reasonOf answers what a driver said, without the portable wrapping.
func reasonOf(err error) string {
	if wrapped, ok := err.(interface{ Unwrap() []error }); ok {
		if inner := wrapped.Unwrap(); len(inner) > 0 && inner[0] != nil {
			return inner[0].Error()
		}
	}
	return err.Error()
}
