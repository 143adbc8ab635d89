package cli

import (
	"context"
	"fmt"
	"slices"

	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// notTheLast refuses a host with which the service of its runtime would go. Only a host that is ready takes one with it, and
// one that leaves already is only followed.
func (d *drain) notTheLast(ctx context.Context, h *host, all []*host) error {
	namespace, runtime := h.GetHello().GetNamespace(), h.GetHello().GetRuntime()
	if !holdsModels(h) {
		return nil
	}
	others := keep(all, func(o *host) bool {
		return o.GetHello().GetNamespace() == namespace && o.GetHello().GetHostId() != h.GetHello().GetHostId() && holdsModels(o)
	})
	if slices.ContainsFunc(others, func(o *host) bool { return o.GetHello().GetRuntime() == runtime }) {
		return nil
	}
	answer, err := d.client.ListModels(ctx, &adminv1.ListModelsRequest{Namespace: namespace})
	if err != nil {
		return err
	}
	stranded := keep(answer.GetModels(), func(m *model) bool { return isOn(m, h) && !fits(m, others) })
	return fmt.Errorf("host %s is the only one of runtime %s in namespace %s that is ready: %s on it would have nowhere to go, "+
		"and nobody would serve that runtime until another host is ready; have a second one first (`wasmesh get hosts` shows it), or say --force",
		h.GetHello().GetHostId(), runtime, namespace, counted(len(stranded), "model"))
}

// holdsModels: the host has a runtime, and takes copies and requests now.
func holdsModels(h *host) bool {
	return h.GetHello().GetRuntime() != "" && h.GetConnected() && h.GetDraining() == nil &&
		h.GetRuntimeState() == syncv1.RuntimeState_RUNTIME_STATE_READY
}

// isOn: the host has the model, or is about to.
func isOn(m *model, h *host) bool {
	return slices.ContainsFunc(m.GetCopies(), func(c *adminv1.ListModelsResponse_Copy) bool {
		return c.GetHostId() == h.GetHello().GetHostId() && c.GetCopy().GetState() != syncv1.CopyState_COPY_STATE_FAILED
	})
}

// fits: one of the hosts is of a runtime that may hold the model.
func fits(m *model, hosts []*host) bool {
	return slices.ContainsFunc(hosts, func(o *host) bool {
		return slices.Contains(m.GetModel().GetRuntimes(), o.GetHello().GetRuntime())
	})
}
