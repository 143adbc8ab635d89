package link

import (
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/host/peers/residency"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

const (
	// keptChanges is how far back a follower may be before it needs a snapshot. That of a change is 8 bytes.
	keptChanges = 4096
	// keptFailures bounds the failures that are remembered of this host, most lately published first.
	keptFailures = 4096
	// chunk is how many entries go into one message: about 64 KiB, or 1.2 MiB if all of them have failed.
	chunk = 2048
)

// Publisher is what this host says of itself. Safe for concurrent use.
type Publisher struct {
	mu       sync.Mutex
	log      *residency.Log
	failures *lru.Cache[uint64, *syncv1.Failure]
	figures  *peerv1.Figures
	sequence uint64
	// news is closed, and another one made, when something is there that should not wait for a beat.
	news chan struct{}
	// last is the latest delta that was made: most followers are at the same place.
	last *peerv1.LinkResponse
}

// NewPublisher makes one that holds nothing.
func NewPublisher() *Publisher {
	failures, err := lru.New[uint64, *syncv1.Failure](keptFailures)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &Publisher{log: residency.NewLog(keptChanges), failures: failures, news: make(chan struct{})}
}

// Publish takes in what has become of a model on this host, and why it failed if it has. What differs in more than the
// time of last use goes out at once. False: nothing has changed.
func (p *Publisher) Publish(entry residency.Entry, failure *syncv1.Failure) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if entry.State != residency.Failed || failure == nil {
		p.failures.Remove(entry.Key)
	} else if failure = bounded(failure); !proto.Equal(p.Failure(entry.Key), failure) {
		p.failures.Add(entry.Key, failure)
		// The log knows nothing of reasons. For another one to be told, the entry has to leave it in between.
		p.log.Set(residency.Entry{Key: entry.Key, State: residency.Absent})
	}
	last := p.log.Get(entry.Key)
	if !p.log.Set(entry) {
		return false
	}
	if now := p.log.Get(entry.Key); now.State != last.State || now.Size != last.Size {
		p.wake()
	}
	return true
}

// PublishFigures takes in how this host does. It keeps f, and gives it a sequence of its own unless that is newer than
// all before. A flag or another catalog goes out at once.
func (p *Publisher) PublishFigures(f *peerv1.Figures) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.Sequence <= p.sequence {
		f.Sequence = p.sequence + 1
	}
	p.sequence = f.Sequence
	last := p.figures
	p.figures = f
	if last == nil || f.GetDraining() != last.GetDraining() || f.GetWarming() != last.GetWarming() || f.GetArbiter() != last.GetArbiter() ||
		f.GetRuntimeReady() != last.GetRuntimeReady() || !proto.Equal(f.GetCatalogVersion(), last.GetCatalogVersion()) {
		p.wake()
	}
}

// Figures are the latest, not to be changed; nil before the first.
func (p *Publisher) Figures() *peerv1.Figures {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.figures
}

// Failure is why the model failed here; nil when it did not, or that is long ago.
func (p *Publisher) Failure(key uint64) *syncv1.Failure {
	failure, _ := p.failures.Peek(key)
	return failure
}

// Since is residency.Log's.
func (p *Publisher) Since(sequence uint64) ([]residency.Entry, residency.Stamp, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Since(sequence)
}

// Stamp names what followers should have by now.
func (p *Publisher) Stamp() residency.Stamp {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Stamp()
}

// News is closed when something is there that should not wait.
func (p *Publisher) News() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.news
}

func (p *Publisher) wake() {
	close(p.news)
	p.news = make(chan struct{})
}

// delta is what a follower needs that has everything up to a sequence; nil when it has everything. Not ok: a snapshot.
func (p *Publisher) delta(after uint64) (message *peerv1.LinkResponse, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.log.Stamp()
	if now.Sequence == after {
		return nil, true
	}
	if d := p.last.GetDelta(); d != nil && d.GetAfter() == after && d.GetStamp().GetSequence() == now.Sequence {
		return p.last, true
	}
	entries, now, ok := p.log.Since(after)
	if !ok {
		return nil, false
	}
	p.last = &peerv1.LinkResponse{Message: &peerv1.LinkResponse_Delta{Delta: &peerv1.Delta{
		After: after, Entries: encodeEntries(entries, p.Failure), Stamp: encodeStamp(now),
	}}}
	return p.last, true
}

// snapshot is everything, in as many messages as needed, at least one.
func (p *Publisher) snapshot() (messages []*peerv1.LinkResponse, at residency.Stamp) {
	p.mu.Lock()
	entries, at := p.log.Snapshot()
	p.mu.Unlock()
	for first := true; first || len(entries) > 0; first = false {
		part := entries[:min(len(entries), chunk)]
		entries = entries[len(part):]
		messages = append(messages, &peerv1.LinkResponse{Message: &peerv1.LinkResponse_Snapshot{Snapshot: &peerv1.Snapshot{
			Entries: encodeEntries(part, p.Failure), Stamp: encodeStamp(at), More: len(entries) > 0,
		}}})
	}
	return messages, at
}
