package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/printer"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	"google.golang.org/protobuf/proto"
)

// event is one of some object.
type event struct {
	*adminv1.ListEventsResponse_Event
	object reference
}

// events answers those of every object of the namespace, oldest first, as kubectl sorts them: the controller keeps them
// by object. A name is that of the object.
func (g *getter) events(ctx context.Context) (proto.Message, func() error, error) {
	var found []event
	all := &adminv1.ListEventsResponse{}
	for _, kind := range []string{kindService, kindPredictor, kindRuntime, kindClusterRuntime} {
		of := newReference(kind, g.namespace, g.name)
		list, err := g.client.ListObjects(ctx, &adminv1.ListObjectsRequest{Kind: kind, Namespace: of.namespace, Name: of.name})
		if err != nil {
			return nil, nil, err
		}
		for _, content := range list.GetObjects() {
			object, err := printer.ParseObject(content)
			if err != nil {
				return nil, nil, err
			}
			of := newReference(kind, object.Text("metadata", "namespace"), object.Text("metadata", "name"))
			answer, err := g.client.ListEvents(ctx, &adminv1.ListEventsRequest{Kind: kind, Namespace: of.namespace, Name: of.name})
			if err != nil {
				return nil, nil, err
			}
			for _, e := range answer.GetEvents() {
				found = append(found, event{e, of})
			}
			all.Events = append(all.Events, answer.GetEvents()...)
		}
	}
	slices.SortStableFunc(found, func(a, b event) int { return cmp.Compare(a.GetTimeMs(), b.GetTimeMs()) })
	return all, func() error { return show(g, found, g.eventColumns(), eventObject) }, nil
}

func (g *getter) eventColumns() []printer.Column[event] {
	now := time.Now()
	columns := []printer.Column[event]{
		{Header: "LAST SEEN", Cell: func(e event) string { return eventAge(e.ListEventsResponse_Event, now) }},
		{Header: "TYPE", Cell: func(e event) string { return e.GetType() }},
		{Header: "REASON", Cell: func(e event) string { return e.GetReason() }},
		{Header: "OBJECT", Cell: func(e event) string { return e.object.kind + "/" + e.object.name }},
		{Header: "MESSAGE", Cell: func(e event) string { return e.GetMessage() }},
	}
	if g.options.allNamespaces {
		columns = slices.Insert(columns, 0, printer.Column[event]{Header: "NAMESPACE", Cell: func(e event) string { return e.object.namespace }})
	}
	return columns
}

func eventAge(e *adminv1.ListEventsResponse_Event, now time.Time) string {
	age := printer.Age(now, time.UnixMilli(e.GetTimeMs()))
	if e.GetCount() > 1 {
		age = fmt.Sprintf("%s (x%d)", age, e.GetCount())
	}
	return age
}

func eventObject(e event) (printer.Object, error) {
	object, err := messageObject(e.ListEventsResponse_Event)
	if err != nil {
		return nil, err
	}
	object["involvedObject"] = map[string]any{"kind": e.object.kind, "namespace": e.object.namespace, "name": e.object.name}
	return object, nil
}
