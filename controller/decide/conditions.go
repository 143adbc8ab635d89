package decide

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// ConditionAnnotationsAccepted is False while an annotation under wasmesh.dev is not followed, and otherwise absent: it is
// not one of KServe's.
const ConditionAnnotationsAccepted = "AnnotationsAccepted"

// explain gives the reason and the sentence of both conditions.
func explain(c change, s standing) (reason, message string) {
	if !s.available {
		return explainUnavailable(c, s)
	}
	message = ofState(s.active)
	switch s.transition {
	case v1beta1.InProgress:
		message += "; the model of the changed spec is on its way"
	case v1beta1.BlockedByFailedLoad:
		message += "; the model of the changed spec failed to load: " + s.failure.Message + missing(c.target.reading)
	case v1beta1.InvalidSpec:
		message += invalidSpec(s)
	}
	return string(s.active), message
}

// ofState says what a state means.
func ofState(state v1beta1.ModelState) string {
	switch state {
	case v1beta1.Loaded:
		return "The model is loaded"
	case v1beta1.Loading:
		return "A copy of the model is being loaded, requests wait for it"
	case v1beta1.Pending:
		return "No host has taken note of the model yet"
	}
	return "No copy of the model is in memory, the next request loads it"
}

func invalidSpec(s standing) string { return "; the changed spec is invalid: " + s.failure.Message }

// missing continues a sentence with the runtime that there is not.
func missing(r reading) string {
	if r.shortfall == "" {
		return ""
	}
	return "; " + r.shortfall
}

// explainUnavailable prefers the active model's own failure to that of a target, which is in lastFailureInfo. That the
// spec is invalid is said too: the owner's last edit is what they look for. Without a model it is all there is to say.
func explainUnavailable(c change, s standing) (reason, message string) {
	if c.active == nil {
		return string(s.failure.Reason), s.failure.Message
	}
	r := c.active.reading
	reason, message = string(s.active), ofState(s.active)
	if r.failure != nil {
		reason, message = string(r.failure.Reason), r.failure.Message+missing(r)
		if r.complaint != "" {
			message += ": " + r.complaint
		}
	}
	if s.transition == v1beta1.InvalidSpec {
		message += invalidSpec(s)
	}
	return reason, message
}

// OwnsCondition says that conditions of a type are written here; those of other types are others'.
func OwnsCondition(kind string) bool {
	return kind == v1beta1.ConditionReady || kind == v1beta1.ConditionPredictorReady || kind == ConditionAnnotationsAccepted
}

// conditions sets ours and carries those of others over. Sorted by type, as Knative does.
func conditions(present []v1beta1.Condition, s standing, now time.Time) []v1beta1.Condition {
	all := slices.DeleteFunc(slices.Clone(present), func(c v1beta1.Condition) bool { return OwnsCondition(c.Type) })
	for _, kind := range []string{v1beta1.ConditionReady, v1beta1.ConditionPredictorReady} {
		all = append(all, condition(kind, present, s, now))
	}
	if s.annotations != "" {
		refused := standing{reason: EventInvalidAnnotation, message: s.annotations}
		all = append(all, condition(ConditionAnnotationsAccepted, present, refused, now))
	}
	slices.SortStableFunc(all, func(a, b v1beta1.Condition) int { return cmp.Compare(a.Type, b.Type) })
	return all
}

// inSeconds is a time as it will be read back: otherwise what was written would seem to differ from what was decided.
func inSeconds(t time.Time) metav1.Time { return metav1.NewTime(t.UTC().Truncate(time.Second)) }

// condition moves lastTransitionTime only when the status takes another value.
func condition(kind string, present []v1beta1.Condition, s standing, now time.Time) v1beta1.Condition {
	c := v1beta1.Condition{
		Type:               kind,
		Status:             corev1.ConditionFalse,
		Reason:             s.reason,
		Message:            s.message,
		LastTransitionTime: inSeconds(now),
	}
	if s.available {
		c.Status = corev1.ConditionTrue
	}
	if p := find(present, kind); p != nil && p.Status == c.Status && !p.LastTransitionTime.IsZero() {
		c.LastTransitionTime = p.LastTransitionTime
	}
	return c
}

func find(all []v1beta1.Condition, kind string) *v1beta1.Condition {
	i := slices.IndexFunc(all, func(c v1beta1.Condition) bool { return c.Type == kind })
	if i < 0 {
		return nil
	}
	return &all[i]
}

func isTrue(all []v1beta1.Condition, kind string) bool {
	c := find(all, kind)
	return c != nil && c.Status == corev1.ConditionTrue
}
