package decide

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// Reasons of Events. Each is recorded when the thing happens, not while it lasts; what happens again is recorded again.
const (
	// EventLoaded: the active model is in memory now.
	EventLoaded = "Loaded"
	// EventUnloaded: the last copy of the active model has left memory; a request brings it back.
	EventUnloaded = "Unloaded"
	// EventLoadFailed: the active model cannot answer.
	EventLoadFailed = "LoadFailed"
	// EventSwitched: the name now means another model.
	EventSwitched = "Switched"
	// EventUpToDate: the spec asks again for the model that answers, after an edit that led nowhere.
	EventUpToDate = "UpToDate"
	// EventBlocked: the model of a changed spec failed to load, the one before stays.
	EventBlocked = "BlockedByFailedLoad"
	// EventInvalidSpec: no model could be made of a spec, or no pods of a runtime.
	EventInvalidSpec = "InvalidSpec"
	// EventInvalidAnnotation: an annotation is not followed, the last good value is.
	EventInvalidAnnotation = "InvalidAnnotation"
	// EventAnnotationsAccepted: what was wrong with annotations has been put right.
	EventAnnotationsAccepted = "AnnotationsAccepted"
	// EventWaitingForRuntime: no runtime is there to load the model.
	EventWaitingForRuntime = "WaitingForRuntime"
)

// step is what became of one object's status.
type step struct {
	before, after standing
	change        change
}

// transitionEvents answers what happened between two statuses.
func transitionEvents(key Key, s step) []Event {
	var events []Event
	for _, rule := range []func(step) (Event, bool){
		loadedEvent, unloadedEvent, loadFailedEvent, blockedEvent, invalidSpecEvent, waitingEvent, upToDateEvent,
	} {
		if e, happened := rule(s); happened {
			e.Object = key
			events = append(events, e)
		}
	}
	return events
}

// switchedEvent is known from the change itself, whether or not a status is written.
func switchedEvent(key Key, c change) Event {
	e := normal(EventSwitched, "Switched from model %s to %s", c.switchedFrom, c.active.model.Id)
	e.Object = key
	return e
}

// loadedEvent: that a model was switched to says enough.
func loadedEvent(s step) (Event, bool) {
	if s.after.active != v1beta1.Loaded || s.before.active == v1beta1.Loaded || s.change.switchedFrom != "" {
		return Event{}, false
	}
	return normal(EventLoaded, "Model %s is loaded", s.change.active.model.Id), true
}

// unloadedEvent: that all models of a runtime go with its pods is told of the runtime.
func unloadedEvent(s step) (Event, bool) {
	if s.change.active != nil && s.change.active.evidence.asleep {
		return Event{}, false
	}
	if s.after.active != v1beta1.Standby || s.before.active != v1beta1.Loaded || s.change.switchedFrom != "" {
		return Event{}, false
	}
	return normal(EventUnloaded, "Model %s is no longer in memory, the next request loads it", s.change.active.model.Id), true
}

// loadFailedEvent: also when a model that had failed fails in another way.
func loadFailedEvent(s step) (Event, bool) {
	if s.after.active != v1beta1.FailedToLoad || s.change.active.reading.waiting {
		return Event{}, false
	}
	changed := s.after.transition == v1beta1.UpToDate && s.otherFailure()
	if s.before.active == v1beta1.FailedToLoad && !changed {
		return Event{}, false
	}
	reading := s.change.active.reading
	f := reading.failure
	return warning(EventLoadFailed, "Model %s: %s: %s%s", s.change.active.model.Id, f.Reason, f.Message, missing(reading)), true
}

func blockedEvent(s step) (Event, bool) {
	if s.after.transition != v1beta1.BlockedByFailedLoad ||
		s.before.transition == v1beta1.BlockedByFailedLoad && !s.otherFailure() {
		return Event{}, false
	}
	f := s.after.failure
	return warning(EventBlocked, "Model %s stays, since %s failed: %s: %s%s",
		s.change.active.model.Id, f.ModelRevisionName, f.Reason, f.Message, missing(s.change.wanted().reading)), true
}

func invalidSpecEvent(s step) (Event, bool) {
	if s.after.transition != v1beta1.InvalidSpec ||
		s.before.transition == v1beta1.InvalidSpec && !s.otherFailure() {
		return Event{}, false
	}
	return warning(EventInvalidSpec, "%s", s.after.failure.Message), true
}

// waitingEvent warns only where something was there to lose. While the spec is invalid, lastFailureInfo is about that and
// does not remember that a runtime is waited for; then the loss alone is told.
func waitingEvent(s step) (Event, bool) {
	active, wanted := s.change.active, s.change.wanted()
	switch {
	case active == nil:
		return Event{}, false
	case active.reading.waiting && s.before.available:
		return warning(EventWaitingForRuntime, "%s", active.reading.failure.Message), true
	case wanted.reading.waiting && s.after.waits() && !s.before.waits():
		return normal(EventWaitingForRuntime, "%s", wanted.reading.failure.Message), true
	}
	return Event{}, false
}

// upToDateEvent ends the story of an edit that was blocked, invalid or taken back, so that its warning is not the newest
// Event. When there was a switch, a load or a failure, that is the end.
func upToDateEvent(s step) (Event, bool) {
	_, loaded := loadedEvent(s)
	if s.after.transition != v1beta1.UpToDate || s.before.transition == v1beta1.UpToDate || s.before.transition == "" ||
		s.change.switchedFrom != "" || loaded || s.after.active == v1beta1.FailedToLoad {
		return Event{}, false
	}
	return normal(EventUpToDate, "Model %s is what the spec asks for", s.change.active.model.Id), true
}

// waits says that lastFailureInfo is a runtime's.
func (s standing) waits() bool {
	return s.failure != nil && s.failure.Reason == v1beta1.RuntimeUnhealthy
}

func normal(reason, format string, args ...any) Event {
	return Event{Type: corev1.EventTypeNormal, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func warning(reason, format string, args ...any) Event {
	return Event{Type: corev1.EventTypeWarning, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// otherFailure says that what is wrong now is not what was wrong before; where and when do not count.
func (s step) otherFailure() bool {
	a, b := s.after.failure, s.before.failure
	if a == nil || b == nil {
		return a != b
	}
	return a.Reason != b.Reason || a.Message != b.Message || a.ModelRevisionName != b.ModelRevisionName
}

// faultEvents answers one for each runtime whose fault is new.
func faultEvents(before, after map[Key]string) []Event {
	var events []Event
	for key, fault := range after {
		if before[key] != fault {
			e := warning(EventInvalidSpec, "%s", fault)
			e.Object = key
			events = append(events, e)
		}
	}
	slices.SortFunc(events, func(a, b Event) int { return compareKeys(a.Object, b.Object) })
	return events
}
