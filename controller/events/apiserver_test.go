package events

import (
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/policyconfig"
	"github.com/wasmesh/wasmesh/test/envtest"
)

// A real API server takes an Event and its count, and finds them as `kubectl describe` looks for them: by the object's UID,
// in the older API.
func TestTheAPIServerTakesEvents(t *testing.T) {
	server := envtest.Start(t)
	namespace := envtest.Namespace(t, server, nil)
	c, err := client.New(server, client.Options{Scheme: newScheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "policy"}}
	if err := c.Create(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	r, err := New(Config{Client: c, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	e := decide.Event{
		Object: decide.Key{Namespace: namespace, Kind: policyconfig.KindConfigMap, Name: "policy"},
		Type:   corev1.EventTypeWarning, Reason: policyconfig.EventRefused, Message: "place: the module is too large",
	}
	s := saying{object: e.Object, eventType: e.Type, reason: e.Reason, message: e.Message}
	now := time.Now()
	if err := r.writeOnce(t.Context(), s, heard{first: now, last: now, count: 1}); err != nil {
		t.Fatal(err)
	}
	if err := r.writeOnce(t.Context(), s, heard{first: now, last: now, count: 2}); err != nil {
		t.Fatal(err)
	}
	var list corev1.EventList
	selector := fields.OneTermEqualSelector("involvedObject.uid", string(cm.UID))
	if err := c.List(t.Context(), &list, client.InNamespace(namespace), client.MatchingFieldsSelector{Selector: selector}); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 1 || list.Items[0].Message != e.Message || list.Items[0].Series == nil || list.Items[0].Series.Count != 3 {
		t.Fatalf("%+v; want one Event, three times", list.Items)
	}
	// One that the API server has forgotten is written anew.
	if err := c.DeleteAllOf(t.Context(), &eventsv1.Event{}, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	if err := r.writeOnce(t.Context(), s, heard{first: now, last: now, count: 1}); err != nil {
		t.Fatal(err)
	}
}
