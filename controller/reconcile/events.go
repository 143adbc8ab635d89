package reconcile

import (
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/wasmesh/wasmesh/controller/decide"
)

const (
	// eventsPerObject and eventObjects bound the memory of Events: about 20 MiB when every object fills its share.
	eventsPerObject = 32
	eventObjects    = 4096
)

// Event is one that was recorded, with how often.
type Event struct {
	// Type is "Normal" or "Warning".
	Type, Reason, Message string
	// Last time that it was seen.
	Last  time.Time
	Count uint32
}

// recorder keeps the last Events of the objects that last had any. Kubernetes keeps them for an hour; here they are kept
// until others take their place.
type recorder struct {
	mu       sync.Mutex
	byObject *lru.LRU[decide.Key, []Event]
}

func newRecorder() *recorder {
	byObject, err := lru.NewLRU[decide.Key, []Event](eventObjects, nil)
	if err != nil {
		panic(err) // Only a size that is not positive is refused.
	}
	return &recorder{byObject: byObject}
}

// record adds an Event. One that was seen before is counted, and becomes the newest.
func (r *recorder) record(now time.Time, event decide.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	recorded := Event{Type: event.Type, Reason: event.Reason, Message: event.Message, Last: now, Count: 1}
	before, _ := r.byObject.Get(event.Object)
	events := make([]Event, 0, len(before)+1)
	for _, e := range before {
		if e.Type == recorded.Type && e.Reason == recorded.Reason && e.Message == recorded.Message {
			recorded.Count += e.Count
			continue
		}
		events = append(events, e)
	}
	events = append(events, recorded)
	r.byObject.Add(event.Object, events[max(0, len(events)-eventsPerObject):])
}

// record keeps Events for operators, and hands them on.
func (l *Loop) record(now time.Time, events []decide.Event) {
	for _, e := range events {
		l.events.record(now, e)
		if l.config.Recorder != nil {
			l.config.Recorder.Record(e)
		}
	}
}

// list answers the Events of one object, oldest first.
func (r *recorder) list(object decide.Key) []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	events, _ := r.byObject.Peek(object)
	return slices.Clone(events)
}
