package decide

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/controller/resolve"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// wish reads the object's annotations. The last good values are those of the active model, which is durable.
func (a *alias) wish(annotations map[string]string, in Input) {
	a.active, a.memory = in.Active[a.key], a.remembered(in)
	last := resolve.Wishes{Knobs: a.memory.GetKnobs(), SizeBytes: a.memory.GetSizeHint().GetHostMemoryBytes()}
	a.wishes, a.annotationFaults = resolve.ReadWishes(annotations, last)
	if a.spec != nil {
		a.spec.Wishes = a.wishes
	}
}

// withKnobs answers the model with other knobs. What an owner wishes now holds for the model that answers, also while
// another is to replace it; its size is its own.
func withKnobs(m *syncv1.Model, knobs *syncv1.Knobs) *syncv1.Model {
	if proto.Equal(m.GetKnobs(), knobs) {
		return m
	}
	changed := withRuntimes(m, m.Runtimes)
	changed.Knobs = knobs
	return changed
}

// joined is how statuses and Events tell of several faults.
func joined(faults []string) string { return strings.Join(faults, "; ") }

// annotationEvents answers one for each object of which other annotations are not followed than before, and one for each of
// which all are again.
func (d *decision) annotationEvents(all []*alias) {
	for _, a := range all {
		before := d.in.AnnotationFaults[a.key]
		var e Event
		switch {
		case slices.Equal(before, a.annotationFaults):
			continue
		case len(a.annotationFaults) > 0:
			e = warning(EventInvalidAnnotation, "%s", joined(a.annotationFaults))
		default:
			e = normal(EventAnnotationsAccepted, "All annotations are followed")
		}
		e.Object = a.key
		d.out.Events = append(d.out.Events, e)
	}
}
