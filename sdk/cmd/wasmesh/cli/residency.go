package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/printer"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"google.golang.org/protobuf/proto"
)

type (
	model = adminv1.ListModelsResponse_Model
	host  = adminv1.ListHostsResponse_Host
)

func (g *getter) models(ctx context.Context) (proto.Message, func() error, error) {
	answer, err := g.client.ListModels(ctx, &adminv1.ListModelsRequest{Namespace: g.namespace})
	if err != nil {
		return nil, nil, err
	}
	if g.name != "" {
		answer.Models = keep(answer.Models, func(m *model) bool {
			return m.GetModel().GetId() == g.name || m.GetModel().GetAlias() == g.name
		})
	}
	if g.looksFurther(len(answer.Models)) {
		all, err := g.client.ListModels(ctx, &adminv1.ListModelsRequest{})
		g.elsewhere = err == nil && len(all.GetModels()) > 0
	}
	return answer, func() error { return show(g, answer.Models, g.modelColumns(), messageObject[*model]) }, nil
}

func (g *getter) hosts(ctx context.Context) (proto.Message, func() error, error) {
	answer, err := g.client.ListHosts(ctx, &adminv1.ListHostsRequest{})
	if err != nil {
		return nil, nil, err
	}
	if g.name != "" {
		answer.Hosts = keep(answer.Hosts, func(h *host) bool { return h.GetHello().GetHostId() == g.name })
	}
	return answer, func() error { return show(g, answer.Hosts, hostColumns(), messageObject[*host]) }, nil
}

func keep[T any](items []T, wanted func(T) bool) []T {
	var kept []T
	for _, item := range items {
		if wanted(item) {
			kept = append(kept, item)
		}
	}
	return kept
}

func (g *getter) modelColumns() []printer.Column[*model] {
	columns := modelColumns(time.Now())
	if g.options.allNamespaces {
		namespace := func(m *model) string { return m.GetModel().GetNamespace() }
		columns = slices.Insert(columns, 0, printer.Column[*model]{Header: "NAMESPACE", Cell: namespace})
	}
	return columns
}

func modelColumns(now time.Time) []printer.Column[*model] {
	return slices.Concat([]printer.Column[*model]{
		{Header: "MODEL", Cell: func(m *model) string { return m.GetModel().GetId() }},
		{Header: "ALIAS", Cell: func(m *model) string { return m.GetModel().GetAlias() }},
		{Header: "ROLE", Cell: role},
		{Header: "STATE", Cell: modelState},
		{Header: "COPIES", Cell: func(m *model) string { return strconv.Itoa(loaded(m)) }},
		{Header: "SIZE", Cell: modelSize},
		{Header: "LAST-USED", Cell: func(m *model) string { return lastUsed(m, now) }},
		{Header: "HOSTS", Cell: hostsOf},
	}, copyColumns(), []printer.Column[*model]{
		{Header: "FORMAT", Wide: true, Cell: func(m *model) string { return m.GetModel().GetType().GetName() }},
		{Header: "RUNTIMES", Wide: true, Cell: func(m *model) string { return strings.Join(m.GetModel().GetRuntimes(), ",") }},
		{Header: "PATH", Wide: true, Cell: func(m *model) string { return m.GetModel().GetStorage().GetPath() }},
		{Header: "FAILURE", Wide: true, Cell: failure},
		{Header: "ANNOTATIONS", Wide: true, Cell: func(m *model) string { return strings.Join(m.GetAnnotationFaults(), "; ") }},
	})
}

func role(m *model) string {
	switch {
	case m.GetActive():
		return "active"
	case m.GetTarget():
		return "target"
	}
	return "leaving"
}

// modelState is the best state of any copy: a model is as good as its best copy. Without one, whether hosts have
// considered the model is not known here: the state of its InferenceService says it.
func modelState(m *model) string {
	best := syncv1.CopyState_COPY_STATE_UNSPECIFIED
	for _, c := range m.GetCopies() {
		if rank(c.GetCopy().GetState()) > rank(best) {
			best = c.GetCopy().GetState()
		}
	}
	switch {
	case best != syncv1.CopyState_COPY_STATE_UNSPECIFIED:
	case len(m.GetModel().GetRuntimes()) == 0:
		return "NoRuntime"
	default:
		return "NotLoaded"
	}
	return copyState(best)
}

func rank(state syncv1.CopyState) int {
	switch state {
	case syncv1.CopyState_COPY_STATE_LOADED:
		return 5
	case syncv1.CopyState_COPY_STATE_LOADING:
		return 4
	case syncv1.CopyState_COPY_STATE_QUEUED:
		return 3
	case syncv1.CopyState_COPY_STATE_DRAINING:
		return 2
	case syncv1.CopyState_COPY_STATE_FAILED:
		return 1
	}
	return 0
}

func loaded(m *model) int {
	n := 0
	for _, c := range m.GetCopies() {
		if c.GetCopy().GetState() == syncv1.CopyState_COPY_STATE_LOADED {
			n++
		}
	}
	return n
}

func modelSize(m *model) string {
	size := uint64(0)
	for _, c := range m.GetCopies() {
		size = max(size, c.GetCopy().GetSize().GetHostMemoryBytes())
	}
	if size == 0 {
		return none
	}
	return quantity(size)
}

func lastUsed(m *model, now time.Time) string {
	newest := int64(0)
	for _, c := range m.GetCopies() {
		newest = max(newest, c.GetCopy().GetLastUsedMs())
	}
	if newest == 0 {
		return "<none>"
	}
	return printer.Age(now, time.UnixMilli(newest))
}

// hostsOf are those that have a copy, or are about to; where the model failed only, there is none.
func hostsOf(m *model) string {
	var ids []string
	for _, c := range m.GetCopies() {
		if c.GetCopy().GetState() != syncv1.CopyState_COPY_STATE_FAILED {
			ids = append(ids, c.GetHostId())
		}
	}
	if len(ids) == 0 {
		return none
	}
	return strings.Join(ids, ",")
}

// failure is the newest, and where: others may have loaded the model.
func failure(m *model) string {
	var newest *adminv1.ListModelsResponse_Copy
	for _, c := range m.GetCopies() {
		if f := c.GetCopy().GetFailure(); f.GetMessage() != "" && (newest == nil || f.GetTimeMs() > newest.GetCopy().GetFailure().GetTimeMs()) {
			newest = c
		}
	}
	if newest == nil {
		return ""
	}
	return newest.GetHostId() + ": " + newest.GetCopy().GetFailure().GetMessage()
}

func hostColumns() []printer.Column[*host] {
	return []printer.Column[*host]{
		{Header: "HOST", Cell: func(h *host) string { return h.GetHello().GetHostId() }},
		{Header: "RUNTIME", Cell: hostRuntime},
		{Header: "ZONE", Cell: hostZone},
		{Header: "STATUS", Cell: hostStatus},
		{Header: "MODELS", Cell: func(h *host) string { return strconv.FormatUint(uint64(h.GetCopiesLoaded()), 10) }},
		{Header: "USED", Cell: func(h *host) string { return quantity(h.GetLoad().GetUsed().GetHostMemoryBytes()) }},
		{Header: "CAPACITY", Cell: func(h *host) string { return quantity(h.GetHello().GetCapacity().GetHostMemoryBytes()) }},
		{Header: "GRPC", Cell: func(h *host) string { return h.GetHello().GetGrpcAddress() }},
		{Header: "REST", Cell: func(h *host) string { return h.GetHello().GetRestAddress() }},
		{Header: "METRICS", Wide: true, Cell: func(h *host) string { return h.GetHello().GetMetricsAddress() }},
		{Header: "PEER", Wide: true, Cell: func(h *host) string { return cmp.Or(h.GetHello().GetPeerAddress(), none) }},
		{Header: "IN-FLIGHT", Wide: true, Cell: func(h *host) string { return strconv.Itoa(int(h.GetLoad().GetRequestsInFlight())) }},
		{Header: "WAITING", Wide: true, Cell: func(h *host) string { return strconv.Itoa(int(h.GetLoad().GetRequestsWaiting())) }},
		{Header: "EPOCH", Wide: true, Cell: func(h *host) string { return strconv.FormatUint(h.GetHello().GetEpoch(), 10) }},
		{Header: "CATALOG", Wide: true, Cell: func(h *host) string {
			return fmt.Sprintf("%d.%d", h.GetAcked().GetTerm(), h.GetAcked().GetSequence())
		}},
		{Header: "MESSAGE", Wide: true, Cell: hostMessage},
	}
}

// hostMessage says how far the host is with leaving, and what its runtime complains of.
func hostMessage(h *host) string {
	message := h.GetRuntimeMessage()
	if h.GetDraining() == nil || !h.GetConnected() {
		return message
	}
	return strings.TrimSuffix(drainLine(h.GetDraining())+"; "+message, "; ")
}

// hostStatus is "Ready" for a host that takes requests and stays.
func hostStatus(h *host) string {
	draining := h.GetDraining()
	switch {
	case !h.GetConnected() && draining.GetClosing():
		return "Left"
	case !h.GetConnected():
		return "Disconnected"
	case draining.GetClosing():
		return "Closing"
	case draining != nil:
		return fmt.Sprintf("Draining(%d/%d)", draining.GetMoved(), draining.GetCopies())
	case h.GetHello().GetGateway():
		return "Ready"
	case h.GetRuntimeState() == syncv1.RuntimeState_RUNTIME_STATE_READY:
		return "Ready"
	case h.GetRuntimeState() == syncv1.RuntimeState_RUNTIME_STATE_UNAVAILABLE:
		return "RuntimeUnavailable"
	}
	return "Starting"
}

// quantity is a number of bytes as Kubernetes writes quantities.
func quantity(bytes uint64) string {
	units := []string{"", "Ki", "Mi", "Gi", "Ti"}
	value, unit := float64(bytes), 0
	for value >= 1024 && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	if unit == 0 || value >= 100 {
		return fmt.Sprintf("%.0f%s", value, units[unit])
	}
	return fmt.Sprintf("%.1f%s", value, units[unit])
}
