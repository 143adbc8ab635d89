package decide

import (
	"slices"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	"github.com/wasmesh/wasmesh/sdk/modelid"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Names of the ABI's values in statuses, by value; 0 is "" in each.
var (
	modelStates = []v1beta1.ModelState{"",
		policyabi.ModelStatePending: v1beta1.Pending, policyabi.ModelStateStandby: v1beta1.Standby,
		policyabi.ModelStateLoading: v1beta1.Loading, policyabi.ModelStateLoaded: v1beta1.Loaded,
		policyabi.ModelStateFailedToLoad: v1beta1.FailedToLoad,
	}
	transitions = []v1beta1.TransitionStatus{"",
		policyabi.TransitionUpToDate: v1beta1.UpToDate, policyabi.TransitionInProgress: v1beta1.InProgress,
		policyabi.TransitionBlockedByFailedLoad: v1beta1.BlockedByFailedLoad,
		policyabi.TransitionInvalidSpec:         v1beta1.InvalidSpec,
	}
	failureReasons = []v1beta1.FailureReason{"",
		policyabi.FailureModelLoadFailed: v1beta1.ModelLoadFailed, policyabi.FailureRuntimeUnhealthy: v1beta1.RuntimeUnhealthy,
		policyabi.FailureRuntimeNotRecognized: v1beta1.RuntimeNotRecognized,
		policyabi.FailureNoSupportingRuntime:  v1beta1.NoSupportingRuntime,
		policyabi.FailureInvalidPredictorSpec: v1beta1.InvalidPredictorSpec,
		policyabi.FailureRuntimeDisabled:      v1beta1.RuntimeDisabled,
	}
)

// valueOf finds a name; 0 for one that the ABI does not know, as an old status or somebody else may have written it.
func valueOf[T ~uint16, N ~string](names []N, name N) T { return T(max(slices.Index(names, name), 0)) }

// context is what a status policy is told of an object, its models apart. It starts the request anew.
func (d *decision) context(ns *namespace, a *alias, transition v1beta1.TransitionStatus) {
	var flags policyabi.StatusFlag
	if a.homeless {
		flags |= policyabi.StatusFlagHomeless
	}
	connected := 0
	if ns != nil {
		connected = len(ns.hosts)
		if d.in.Settled && ns.complete {
			flags |= policyabi.StatusFlagReached
		}
	}
	d.request.Header = policyabi.Header{}
	d.request.Rows = d.request.Rows[:0]
	d.request.Context = policyabi.StatusContext{
		Name:               a.key.Namespace + "/" + a.key.Kind + "/" + a.key.Name,
		Flags:              flags,
		Transition:         valueOf[policyabi.Transition](transitions, transition),
		HostsConnected:     uint32(connected),
		PreviousTransition: valueOf[policyabi.Transition](transitions, a.before.transition),
	}
	if a.fault != nil {
		d.request.Context.SpecFault = valueOf[policyabi.Failure](failureReasons, a.fault.Code)
	}
	if f := a.before.failure; f != nil {
		d.request.Context.PreviousFailure = valueOf[policyabi.Failure](failureReasons, f.Reason)
	}
}

// row is what a status policy is told of a model.
func (c *candidate) row() policyabi.StatusRow {
	e := &c.evidence
	row := policyabi.StatusRow{
		Name: c.model.Id, ModelKey: uint64(modelid.KeyOf(c.model.Namespace, c.model.Id)),
		Loaded: uint32(e.tally.loaded), Loading: uint32(e.tally.loading),
		Draining: uint32(e.tally.draining), Failed: uint32(e.tally.blamed()),
		HostsReady: uint32(len(e.ready)), HostsWaiting: uint32(e.unready),
		PreviousState: valueOf[policyabi.ModelState](modelStates, e.previous),
	}
	if e.target {
		row.Flags |= policyabi.RevisionFlagTarget
	}
	if e.refused {
		row.Flags |= policyabi.RevisionFlagRefused
	}
	if consideredBy(e.ready, e.since) {
		row.Flags |= policyabi.RevisionFlagConsidered
	}
	if e.unsupported != nil {
		row.Unsupported = valueOf[policyabi.Failure](failureReasons, e.unsupported.Code)
	}
	if f := e.tally.worst; f != nil {
		row.FailedAtMs, row.RetryAtMs = f.TimeMs, f.RetryAtMs
		row.NewestFailure = policyabi.FailureModelLoadFailed
		if f.Reason == syncv1.FailureReason_FAILURE_REASON_RUNTIME_UNHEALTHY {
			row.NewestFailure = policyabi.FailureRuntimeUnhealthy
		}
	}
	return row
}
