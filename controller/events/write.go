package events

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/policyconfig"
	"github.com/wasmesh/wasmesh/controller/source/kubernetes"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

const (
	// reportingController is who speaks, as the API wants it: a qualified name.
	reportingController = "wasmesh.dev/wasmesh-controller"
	// action is what the controller did to the object, which Events have to say.
	action = "Reconcile"
	// maxNoteBytes is what the API server takes.
	maxNoteBytes = 1024
	// maxNameBytes of an object's name begin that of its Event: an end of 17 more makes the 253 that names may have.
	maxNameBytes = 253 - 17
	// maxInstanceBytes of the pod's name.
	maxInstanceBytes = 128
	// attempts to write one Event while the API server does not answer, and the pauses between them.
	attempts              = 12
	firstPause, lastPause = time.Second, 30 * time.Second
)

// write writes one Event, and tries again while nobody answers. It returns false when the context ended.
func (r *Recorder) write(ctx context.Context, s saying, h heard) bool {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		err := r.writeOnce(ctx, s, h)
		switch {
		case err == nil:
			r.counts.WithLabelValues(outcomeWritten).Inc()
			return true
		case ctx.Err() != nil:
			return false
		case !passing(err) || attempt == attempts:
			r.counts.WithLabelValues(outcomeRefused).Inc()
			if !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
				r.config.Logger.Warn("an Event could not be written", "namespace", s.object.Namespace, "kind", s.object.Kind,
					"name", s.object.Name, "reason", s.reason, "error", err)
			}
			return true
		}
		if !sleep(ctx, pause) {
			return false
		}
		pause = min(2*pause, lastPause)
	}
}

// passing says that the same write may succeed later.
func passing(err error) bool {
	var answered apierrors.APIStatus
	if !errors.As(err, &answered) {
		return true // Nobody did.
	}
	code := answered.Status().Code
	return code == http.StatusTooManyRequests || code >= http.StatusInternalServerError
}

// writeOnce counts onto the Event that is there, or makes one.
func (r *Recorder) writeOnce(ctx context.Context, s saying, h heard) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	r.mu.Lock()
	before, said := r.written.Get(s)
	r.mu.Unlock()
	namespace := cmp.Or(s.object.Namespace, metav1.NamespaceDefault)
	if said && time.Since(before.at) < rememberFor {
		before.count += h.count
		err := r.count(ctx, types.NamespacedName{Namespace: namespace, Name: before.name}, series(before.count, h.last))
		if err == nil || !apierrors.IsNotFound(err) {
			if err == nil {
				r.remember(s, before)
			}
			return err
		}
	}
	// As client-go names them; of two in one moment the second has the next.
	r.named = max(time.Now().UnixNano(), r.named+1)
	name := fmt.Sprintf("%s.%x", strings.TrimRight(s.object.Name[:min(len(s.object.Name), maxNameBytes)], "-."), r.named)
	e := &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		EventTime:  metav1.NewMicroTime(h.first), ReportingController: reportingController,
		ReportingInstance: cmp.Or(shortened(r.config.Instance, maxInstanceBytes), reportingController), Action: action,
		Reason: s.reason, Regarding: r.reference(ctx, s.object), Note: shortened(s.message, maxNoteBytes), Type: s.eventType,
	}
	if h.count > 1 {
		e.Series = series(h.count, h.last)
	}
	if err := r.config.Client.Create(ctx, e); err != nil {
		return fmt.Errorf("write Event: %w", err)
	}
	r.remember(s, record{name: name, count: h.count})
	return nil
}

func series(count int32, last time.Time) *eventsv1.EventSeries {
	return &eventsv1.EventSeries{Count: count, LastObservedTime: metav1.NewMicroTime(last)}
}

func (r *Recorder) count(ctx context.Context, key types.NamespacedName, s *eventsv1.EventSeries) error {
	patch, err := json.Marshal(map[string]any{"series": s})
	if err != nil {
		return fmt.Errorf("encode the count of an Event: %w", err)
	}
	e := &eventsv1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	if err := r.config.Client.Patch(ctx, e, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("count Event: %w", err)
	}
	return nil
}

func (r *Recorder) remember(s saying, written record) {
	written.at = time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.written.Add(s, written)
}

// reference has the object's UID if it is there, without which `kubectl describe` does not show the Event.
func (r *Recorder) reference(ctx context.Context, key decide.Key) corev1.ObjectReference {
	reference := corev1.ObjectReference{Kind: key.Kind, Namespace: key.Namespace, Name: key.Name}
	var o client.Object
	version := v1alpha1.GroupVersion
	switch key.Kind {
	case v1beta1.Kind:
		o, version = &v1beta1.InferenceService{}, v1beta1.GroupVersion
	case v1alpha1.KindPredictor:
		o = &v1alpha1.Predictor{}
	case v1alpha1.KindServingRuntime:
		o = &v1alpha1.ServingRuntime{}
	case v1alpha1.KindClusterServingRuntime:
		o = &v1alpha1.ClusterServingRuntime{}
	case policyconfig.KindConfigMap:
		o, version = &corev1.ConfigMap{}, corev1.SchemeGroupVersion
	default:
		return reference
	}
	reference.APIVersion = version.String()
	// One that cannot be read may be gone, and of that people want to hear, too.
	name := client.ObjectKey{Namespace: key.Namespace, Name: key.Name}
	err := r.config.Client.Get(ctx, name, o)
	if err != nil && key.Kind == v1alpha1.KindPredictor && r.config.LegacyPredictors {
		o, version = &kubernetes.LegacyPredictor{}, kubernetes.LegacyGroupVersion
		err = r.config.Client.Get(ctx, name, o)
	}
	if err == nil {
		reference.UID, reference.APIVersion = o.GetUID(), version.String()
	}
	return reference
}

// shortened to so many bytes, between characters.
func shortened(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	const more = "..."
	cut := limit - len(more)
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + more
}
