package mesh

import (
	"time"

	"github.com/wasmesh/wasmesh/host/lifecycle"
	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

var _ lifecycle.Publisher = (*Mesh)(nil)

// Publish implements lifecycle.Publisher: the controller and the peers hear the same.
func (m *Mesh) Publish(modelCopy *syncv1.Copy) {
	m.deps.Reporter.Publish(modelCopy)
	entry := residency.Entry{
		Key: m.key(modelCopy.GetModelId()), State: residencyState(modelCopy.GetState()),
		Size: clipped(modelCopy.GetSize().GetHostMemoryBytes()),
	}
	if used := modelCopy.GetLastUsedMs(); used > 0 {
		entry.Used = clip32(used / time.Second.Milliseconds() / residency.UsedUnit)
	}
	var failure *syncv1.Failure
	if entry.State == residency.Failed {
		failure = modelCopy.GetFailure()
	}
	m.peers.Publish(entry, failure)
	if entry.State == residency.Loaded {
		m.figures.changed() // What is free goes out with the next beat.
	}
}

// PublishOffer implements lifecycle.Publisher: only the controller hears of it.
func (m *Mesh) PublishOffer(modelCopy *syncv1.Copy) {
	m.deps.Reporter.Publish(modelCopy)
	m.peers.Publish(residency.Entry{Key: m.key(modelCopy.GetModelId())}, nil)
}

// Withdraw implements lifecycle.Publisher.
func (m *Mesh) Withdraw(modelID string) {
	m.deps.Reporter.Withdraw(modelID)
	m.peers.Publish(residency.Entry{Key: m.key(modelID)}, nil)
}

// PublishLoad implements lifecycle.Publisher; to peers figures says more.
func (m *Mesh) PublishLoad(load *syncv1.Load) { m.deps.Reporter.PublishLoad(load) }

// PublishRuntime implements lifecycle.Publisher.
func (m *Mesh) PublishRuntime(state syncv1.RuntimeState, message string) {
	m.deps.Reporter.PublishRuntime(state, message)
	m.figures.changed()
}

// residencyState: the numbers are the same; one that is not known is as none.
func residencyState(state syncv1.CopyState) residency.State {
	if state < 0 || state > syncv1.CopyState_COPY_STATE_FAILED {
		return residency.Absent
	}
	return residency.State(state)
}

// copyState is what others see of the machine's state.
func copyState(state machine.State) syncv1.CopyState {
	switch state {
	case machine.Queued, machine.Estimating:
		return syncv1.CopyState_COPY_STATE_QUEUED
	case machine.Pulling, machine.Loading, machine.Sizing:
		return syncv1.CopyState_COPY_STATE_LOADING
	case machine.Loaded:
		return syncv1.CopyState_COPY_STATE_LOADED
	case machine.Draining:
		return syncv1.CopyState_COPY_STATE_DRAINING
	case machine.Failed:
		return syncv1.CopyState_COPY_STATE_FAILED
	}
	return syncv1.CopyState_COPY_STATE_UNSPECIFIED
}
