package node

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wasmesh/wasmesh/host/catalog"
	"github.com/wasmesh/wasmesh/host/ingress"
	"github.com/wasmesh/wasmesh/host/route"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// view is what names reads of the catalog: catalog.Client.
type view interface {
	Table() *catalog.Table
	Hosts() []*syncv1.Hosts_Host
}

// servable is what names reads of the mesh: mesh.Mesh.
type servable interface {
	// Servable says whether a request for this model would be served, and if not, why.
	Servable(row *syncv1.Model) (ok bool, why string)
}

// names answers ingress from the catalog and from what hosts say of their copies.
type names struct {
	catalog view
	mesh    servable
	// runtime is the ServingRuntime beside this host, empty for a gateway.
	runtime string
	// alone: no other host serves what this one cannot.
	alone bool
}

func (n *names) Ready() bool { return n.catalog.Table().Complete() }

// Resolve takes an alias or a concrete id.
func (n *names) Resolve(name string) (ingress.Resolved, *route.Error) {
	table := n.catalog.Table()
	if !table.Complete() {
		return ingress.Resolved{}, route.Errorf(route.NoHost, "this host has not received the catalog yet: try again in a moment")
	}
	id := name
	if alias, ok := table.Alias(name); ok {
		if id = alias.GetActiveModelId(); id == "" {
			return ingress.Resolved{}, route.Errorf(route.LoadFailed, "%s cannot be served: %s", name, alias.GetUnavailableReason())
		}
	}
	model, ok := table.Model(id)
	if !ok {
		return ingress.Resolved{}, route.Errorf(route.UnknownModel, "no InferenceService, Predictor or model is named %q", name)
	}
	resolved := ingress.Resolved{ModelID: id, Runtimes: model.GetRuntimes()}
	switch {
	case len(model.GetRuntimes()) == 0:
		resolved.Reason = fmt.Sprintf("no ServingRuntime supports the format %q of %s", model.GetType().GetName(), name)
	case n.alone && !slices.Contains(model.GetRuntimes(), n.runtime):
		resolved.NotHere = n.elsewhere(name, model)
	}
	return resolved, nil
}

// elsewhere says which hosts to ask instead.
func (n *names) elsewhere(name string, model *syncv1.Model) string {
	var addresses []string
	for _, host := range n.catalog.Hosts() {
		if slices.Contains(model.GetRuntimes(), host.GetRuntime()) {
			addresses = append(addresses, fmt.Sprintf("%s (gRPC %s, REST %s)", host.GetId(), host.GetGrpcAddress(), host.GetRestAddress()))
		}
	}
	where := "of which no host runs"
	if len(addresses) > 0 {
		where = "on " + strings.Join(addresses, ", ")
	}
	return fmt.Sprintf("%s runs on ServingRuntime %s, %s; this host has %s",
		name, strings.Join(model.GetRuntimes(), " or "), where, n.runtime)
}

// ModelStatus: a model that is not loaded is ready all the same when a request would load it.
func (n *names) ModelStatus(name string) (ingress.ModelStatus, *route.Error) {
	resolved, err := n.Resolve(name)
	if err != nil {
		return ingress.ModelStatus{}, err
	}
	if reason := resolved.Reason + resolved.NotHere; reason != "" {
		return ingress.ModelStatus{Reason: reason}, nil
	}
	row, ok := n.catalog.Table().Model(resolved.ModelID)
	if !ok {
		return ingress.ModelStatus{Reason: "it has been removed"}, nil
	}
	ready, why := n.mesh.Servable(row)
	return ingress.ModelStatus{Ready: ready, Reason: why}, nil
}
