package storage

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// disk is the cache of objects: one file per object under objects/, named by objectName. It alone decides what is on
// disk and accounts for it.
//
// Invariant, under mu: used is the sum of the sizes of entries and of abandoned downloads that still run, and never
// exceeds budget. An entry with refs > 0 is never evicted. idle holds exactly the entries with refs == 0, all present.
type disk struct {
	objects, partial string
	budget           int64

	// running is cancelled by close, which then waits for downloads.
	running context.Context
	stop    context.CancelCauseFunc
	flights sync.WaitGroup

	mu      sync.Mutex
	used    int64
	entries map[string]*entry
	// idle is in order of last use, least recent first; values are *entry.
	idle list.List
	// sequence names partial files, so that an abandoned download and its successor never write to one file.
	sequence uint64

	fetched, reused int64
}

// entry is one object that is on disk or on its way there.
type entry struct {
	name string
	size int64
	// refs counts the running pulls and materialised models that need it.
	refs    int
	present bool
	// flight is the running download; nil while nobody fetches.
	flight *flight
	// element is the place in idle; nil while refs > 0.
	element *list.Element
}

// objectName is the file name of a cached object. The size is part of it so that recovery notices a truncated file.
func objectName(identity string, obj object) string {
	h := sha256.New()
	for _, part := range []string{identity, obj.key, obj.version} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)) + "-" + strconv.FormatInt(obj.size, 10)
}

// path answers where an entry's bytes lie once it is present.
func (d *disk) path(e *entry) string { return filepath.Join(d.objects, e.name) }

// want is an object that a pull needs.
type want struct {
	name string
	size int64
}

// admit takes a reference to each wanted object (names are distinct), making entries and room for those that are not
// cached. After an error it has taken none.
func (d *disk) admit(wants []want) ([]*entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var total, missing, idleWanted int64
	for _, w := range wants {
		total += w.size
		switch e := d.entries[w.name]; {
		case e == nil:
			missing += w.size
		case e.refs == 0:
			idleWanted += e.size
		}
	}
	if total > d.budget {
		return nil, errorf(TooLarge, "the model holds %d bytes, more than this host's whole disk budget of %d bytes",
			total, d.budget)
	}
	if held := d.used - d.idleBytes() + idleWanted; held+missing > d.budget {
		return nil, errorf(Unavailable, "the model needs %d more bytes on disk, and %d of this host's disk budget of "+
			"%d bytes are held by models in use; it fits when others are unloaded", missing, held, d.budget)
	}
	entries := make([]*entry, len(wants))
	for i, w := range wants {
		if e := d.entries[w.name]; e != nil {
			d.acquire(e)
			entries[i] = e
			d.reused += e.size
		}
	}
	if err := d.evictLocked(d.budget - missing); err != nil {
		d.releaseLocked(entries) // these were idle or are held by others: no download ends here
		return nil, err
	}
	for i, w := range wants {
		if entries[i] == nil {
			entries[i] = &entry{name: w.name, size: w.size, refs: 1}
			d.entries[w.name] = entries[i]
			d.used += w.size
		}
	}
	return entries, nil
}

// idleBytes answers what could be evicted. The list is short against what a pull costs anyway.
func (d *disk) idleBytes() (n int64) {
	for el := d.idle.Front(); el != nil; el = el.Next() {
		n += el.Value.(*entry).size
	}
	return n
}

func (d *disk) acquire(e *entry) {
	if e.element != nil {
		d.idle.Remove(e.element)
		e.element = nil
	}
	e.refs++
}

// release gives references back. Downloads that nobody needs any more are cancelled, and have ended when it returns:
// their bytes are free for whoever comes next.
func (d *disk) release(entries []*entry) {
	d.mu.Lock()
	abandoned := d.releaseLocked(entries)
	d.mu.Unlock()
	for _, f := range abandoned {
		<-f.done
	}
}

func (d *disk) releaseLocked(entries []*entry) (abandoned []*flight) {
	for _, e := range entries {
		if e == nil {
			continue
		}
		if e.refs--; e.refs > 0 {
			continue
		}
		switch {
		case e.present:
			e.element = d.idle.PushBack(e)
			// The time of access keeps the order of use over a restart; models' files keep their time of change. Failing
			// to note it costs only that order.
			_ = os.Chtimes(d.path(e), time.Now(), time.Time{})
		case e.flight != nil:
			delete(d.entries, e.name)
			e.flight.cancel() // gives the bytes back when it has removed its file
			abandoned = append(abandoned, e.flight)
		default:
			d.dropLocked(e)
		}
	}
	return abandoned
}

// dropLocked forgets an entry that has no file and no download.
func (d *disk) dropLocked(e *entry) {
	if d.entries[e.name] == e {
		delete(d.entries, e.name)
	}
	d.used -= e.size
}

// evictLocked removes idle objects, least recently used first, until used is at most limit.
func (d *disk) evictLocked(limit int64) error {
	for d.used > limit {
		el := d.idle.Front()
		if el == nil {
			return errorf(Internal, "disk cache holds %d bytes with nothing to evict, over %d", d.used, limit)
		}
		e := el.Value.(*entry)
		if err := os.Remove(d.path(e)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return errorf(Internal, "evict from the disk cache: %v", err)
		}
		d.idle.Remove(el)
		d.dropLocked(e)
	}
	return nil
}

// lost marks an entry whose file vanished behind our back, so that the next fetch brings it again.
func (d *disk) lost(e *entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e.present = false
}

// close ends every download and waits for them.
func (d *disk) close(cause error) {
	d.stop(cause)
	d.flights.Wait()
}

// Stats are figures of the disk cache.
type Stats struct {
	// BudgetBytes bounds UsedBytes, which counts cached objects and running downloads.
	BudgetBytes, UsedBytes int64
	// HeldBytes of UsedBytes are needed by materialised models and running pulls; the rest can be evicted.
	HeldBytes int64
	Objects   int
	// FetchedBytes and ReusedBytes count, since Open, what pulls downloaded and what they found on disk or already
	// on its way.
	FetchedBytes, ReusedBytes int64
}

func (d *disk) stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return Stats{
		BudgetBytes: d.budget, UsedBytes: d.used, HeldBytes: d.used - d.idleBytes(), Objects: len(d.entries),
		FetchedBytes: d.fetched, ReusedBytes: d.reused,
	}
}
