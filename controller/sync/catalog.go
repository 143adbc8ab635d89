package syncserver

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// retireAfter bounds how long a model that nothing refers to stays in the catalog for hosts that do not acknowledge.
const retireAfter = 60 * time.Second

// digestBytes of a row's SHA-256 are kept.
const digestBytes = 16

// Catalog numbers what is published and lets models leave in two phases: first the alias leaves the model, then, when
// every connected host has acknowledged that version, the model's row leaves. In between a host that has not heard of the
// change may still send a peer a request for the old model.
//
// It is pure: no clock, no goroutine, no lock. Its single writer is the Server.
type Catalog struct {
	term    uint64
	current *snapshot
	// retiring models are in current though no longer wanted.
	retiring map[string]retirement
}

type retirement struct {
	namespace string
	// left is the version from which on nothing refers to the model.
	left     *syncv1.Version
	deadline time.Time
}

// entry is a row of the catalog; it never changes.
type entry struct {
	row       *syncv1.Row
	namespace string
	// since is the version in which the row took its present value.
	since *syncv1.Version
}

// snapshot is the catalog at one version; it never changes.
type snapshot struct {
	version *syncv1.Version
	entries []*entry // sorted by key
	// published is since of entries by key, made when Server.Published is first asked.
	published map[string]*syncv1.Version
	// The step from the version before, which is what nearly every host needs next; base is nil for the first version.
	base  *syncv1.Version
	delta delta
}

type delta struct {
	upserts []*entry
	removed []*entry
}

// NewCatalog makes a catalog whose versions are of this term. It has no version before the first Publish: hosts must not
// take a controller that has not read its objects for one that wants nothing.
func NewCatalog(term uint64) *Catalog {
	return &Catalog{term: term, retiring: map[string]retirement{}}
}

// Publish replaces the wanted rows, which must be sorted by key. It answers whether that made a new version. The rows
// are the catalog's from now on: they never change.
func (c *Catalog) Publish(now time.Time, rows []*syncv1.Row) (bool, error) {
	var old []*entry
	if c.current != nil {
		old = c.current.entries
	}
	wanted := make([]*entry, len(rows))
	rest := old
	for i, row := range rows {
		if i > 0 && rows[i-1].GetKey() >= row.GetKey() {
			return false, fmt.Errorf("publish catalog: row %q follows %q: rows must be sorted by key, each key once",
				row.GetKey(), rows[i-1].GetKey())
		}
		for len(rest) > 0 && rest[0].row.GetKey() < row.GetKey() {
			rest = rest[1:]
		}
		if len(rest) > 0 && unchanged(rest[0].row, row) {
			wanted[i] = rest[0]
			continue
		}
		e, err := newEntry(row)
		if err != nil {
			return false, err
		}
		wanted[i] = e
	}
	next := c.begin()
	var unwanted []string
	for was, want := range pairs(old, wanted) {
		switch {
		case want == nil && was.row.GetModel() != nil:
			next.entries = append(next.entries, was)
			unwanted = append(unwanted, was.row.GetKey())
			continue
		case want == nil:
			next.delta.removed = append(next.delta.removed, was)
			continue
		case was != nil && bytes.Equal(was.row.GetDigest(), want.row.GetDigest()):
			want = was
		default:
			want.since = next.version
			next.delta.upserts = append(next.delta.upserts, want)
		}
		next.entries = append(next.entries, want)
		delete(c.retiring, want.row.GetKey())
	}
	changed := c.commit(next)
	for _, key := range unwanted {
		if _, already := c.retiring[key]; !already {
			c.retiring[key] = retirement{
				namespace: namespaceOf(key), left: c.current.version, deadline: now.Add(retireAfter),
			}
		}
	}
	return changed, nil
}

// unchanged says that a row is of the very same model or alias as before, which most are: the digests of ten thousand take
// a tenth of a second.
func unchanged(before, now *syncv1.Row) bool {
	return before.GetKey() == now.GetKey() && now.GetValue() != nil &&
		before.GetModel() == now.GetModel() && before.GetAlias() == now.GetAlias()
}

// Sweep removes the retiring models whose time has come. acknowledged tells whether every connected host of a namespace
// has acknowledged a version. It answers whether that made a new version.
func (c *Catalog) Sweep(now time.Time, acknowledged func(namespace string, version *syncv1.Version) bool) bool {
	due := map[string]bool{}
	for key, r := range c.retiring {
		if !now.Before(r.deadline) || acknowledged(r.namespace, r.left) {
			due[key] = true
			delete(c.retiring, key)
		}
	}
	if len(due) == 0 {
		return false
	}
	next := c.begin()
	for _, e := range c.current.entries {
		if due[e.row.GetKey()] {
			next.delta.removed = append(next.delta.removed, e)
		} else {
			next.entries = append(next.entries, e)
		}
	}
	return c.commit(next)
}

// Deadline is when Sweep must be called even if no host acknowledges anything; zero for never.
func (c *Catalog) Deadline() (earliest time.Time) {
	for _, r := range c.retiring {
		if earliest.IsZero() || r.deadline.Before(earliest) {
			earliest = r.deadline
		}
	}
	return earliest
}

// begin makes the successor of the current snapshot, still empty.
func (c *Catalog) begin() *snapshot {
	if c.current == nil {
		return &snapshot{version: &syncv1.Version{Term: c.term, Sequence: 1}}
	}
	return &snapshot{
		version: &syncv1.Version{Term: c.term, Sequence: c.current.version.GetSequence() + 1},
		base:    c.current.version,
	}
}

// commit makes next the current one if it differs; the first always does, empty or not.
func (c *Catalog) commit(next *snapshot) bool {
	if c.current != nil && len(next.delta.upserts) == 0 && len(next.delta.removed) == 0 {
		return false
	}
	c.current = next
	return true
}

// newEntry computes the digest. It is over the value only, and need only be the same for the same value within one
// controller: another build may serialise otherwise, which costs hosts a Fetch.
func newEntry(row *syncv1.Row) (*entry, error) {
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(&syncv1.Row{Value: row.GetValue()})
	if err != nil {
		return nil, fmt.Errorf("publish catalog: row %q: %w", row.GetKey(), err)
	}
	sum := sha256.Sum256(value)
	return &entry{
		row:       &syncv1.Row{Key: row.GetKey(), Digest: sum[:digestBytes], Value: row.GetValue()},
		namespace: namespaceOf(row.GetKey()),
	}, nil
}

// namespaceOf reads a row's key, "<kind>/<namespace>/<name>".
func namespaceOf(key string) string {
	_, rest, _ := strings.Cut(key, "/")
	namespace, _, _ := strings.Cut(rest, "/")
	return namespace
}

// pairs walks two lists of entries, both sorted by key, side by side; the one that lacks a key is nil.
func pairs(a, b []*entry) func(yield func(a, b *entry) bool) {
	return func(yield func(a, b *entry) bool) {
		for len(a) > 0 || len(b) > 0 {
			var left, right *entry
			order := cmp.Compare(len(b), len(a)) // When one list has ended: takes from the other.
			if len(a) > 0 && len(b) > 0 {
				order = strings.Compare(a[0].row.GetKey(), b[0].row.GetKey())
			}
			if order <= 0 {
				left, a = a[0], a[1:]
			}
			if order >= 0 {
				right, b = b[0], b[1:]
			}
			if !yield(left, right) {
				return
			}
		}
	}
}

// since is the step from an older snapshot of the same catalog to this one.
func (s *snapshot) since(older *snapshot) delta {
	if s.base != nil && compareVersions(s.base, older.version) == 0 {
		return s.delta
	}
	var d delta
	for was, is := range pairs(older.entries, s.entries) {
		switch {
		case is == nil:
			d.removed = append(d.removed, was)
		case was == nil || !bytes.Equal(was.row.GetDigest(), is.row.GetDigest()):
			d.upserts = append(d.upserts, is)
		}
	}
	return d
}

// find looks a row up by key.
func (s *snapshot) find(key string) *entry {
	at, found := slices.BinarySearchFunc(s.entries, key, func(e *entry, key string) int {
		return strings.Compare(e.row.GetKey(), key)
	})
	if !found {
		return nil
	}
	return s.entries[at]
}

// compareVersions orders by term, then sequence; an absent version is the oldest.
func compareVersions(a, b *syncv1.Version) int {
	return cmp.Or(cmp.Compare(a.GetTerm(), b.GetTerm()), cmp.Compare(a.GetSequence(), b.GetSequence()))
}
