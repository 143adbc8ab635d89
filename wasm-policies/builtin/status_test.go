package builtin_test

import (
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// TestStates is ModelMesh's table, for the model that answers.
func TestStates(t *testing.T) {
	const considered = policyabi.RevisionFlagConsidered
	for _, c := range []struct {
		name  string
		hosts uint32
		row   policyabi.StatusRow
		want  policyabi.StatusAnswer
	}{
		{"unknown to hosts", 1, policyabi.StatusRow{HostsReady: 1},
			policyabi.StatusAnswer{ActiveState: policyabi.ModelStatePending}},
		{"standby, and one more host comes", 2, policyabi.StatusRow{HostsReady: 2, PreviousState: policyabi.ModelStateStandby},
			policyabi.StatusAnswer{ActiveState: policyabi.ModelStateStandby, Ready: 1}},
		{"was loaded, and the host comes back empty", 1, policyabi.StatusRow{HostsReady: 1, PreviousState: policyabi.ModelStateLoaded},
			policyabi.StatusAnswer{ActiveState: policyabi.ModelStateLoading, Ready: 1}},
		{"known, in no memory", 2, policyabi.StatusRow{HostsReady: 2, Flags: considered},
			policyabi.StatusAnswer{ActiveState: policyabi.ModelStateStandby, Ready: 1}},
		{"draining", 1, policyabi.StatusRow{HostsReady: 1, Draining: 1, Flags: considered},
			policyabi.StatusAnswer{ActiveState: policyabi.ModelStateStandby, Ready: 1}},
		{"loading", 1, policyabi.StatusRow{HostsReady: 1, Loading: 1, Flags: considered},
			policyabi.StatusAnswer{ActiveState: policyabi.ModelStateLoading, Ready: 1}},
		{"loading again after a failure", 1,
			policyabi.StatusRow{HostsReady: 1, Loading: 1, Flags: considered, NewestFailure: policyabi.FailureModelLoadFailed},
			policyabi.StatusAnswer{ActiveState: policyabi.ModelStateLoading, ActiveFailure: policyabi.FailureModelLoadFailed}},
		{"loaded, hosts of it unaware", 2, policyabi.StatusRow{HostsReady: 2, Loaded: 1},
			policyabi.StatusAnswer{ActiveState: policyabi.ModelStateLoaded, Ready: 1}},
		{"loaded here, failed there", 2,
			policyabi.StatusRow{HostsReady: 2, Loaded: 1, Failed: 1, NewestFailure: policyabi.FailureModelLoadFailed, Flags: considered},
			policyabi.StatusAnswer{ActiveState: policyabi.ModelStateLoaded, Ready: 1}},
		{"failed", 1,
			policyabi.StatusRow{HostsReady: 1, Failed: 1, NewestFailure: policyabi.FailureRuntimeUnhealthy, Flags: considered},
			policyabi.StatusAnswer{ActiveState: policyabi.ModelStateFailedToLoad, ActiveFailure: policyabi.FailureRuntimeUnhealthy}},
		{"failed, and never said why", 1, policyabi.StatusRow{HostsReady: 1, Failed: 1, Flags: considered},
			policyabi.StatusAnswer{ActiveState: policyabi.ModelStateFailedToLoad, ActiveFailure: policyabi.FailureModelLoadFailed}},
		{"nothing supports it any more, and it had failed", 1,
			policyabi.StatusRow{Loading: 1, Failed: 1, NewestFailure: policyabi.FailureModelLoadFailed, Unsupported: policyabi.FailureNoSupportingRuntime},
			policyabi.StatusAnswer{ActiveState: policyabi.ModelStateFailedToLoad, ActiveFailure: policyabi.FailureNoSupportingRuntime}},
		{"no host at all", 0, policyabi.StatusRow{},
			policyabi.StatusAnswer{ActiveState: policyabi.ModelStatePending, ActiveFailure: policyabi.FailureRuntimeUnhealthy}},
		{"no host any more", 0, policyabi.StatusRow{PreviousState: policyabi.ModelStateStandby},
			policyabi.StatusAnswer{ActiveState: policyabi.ModelStateStandby, ActiveFailure: policyabi.FailureRuntimeUnhealthy}},
		{"only hosts of another runtime", 1, policyabi.StatusRow{PreviousState: policyabi.ModelStateLoaded},
			policyabi.StatusAnswer{ActiveState: policyabi.ModelStateLoading, ActiveFailure: policyabi.FailureRuntimeUnhealthy}},
		{"runtime not ready", 1, policyabi.StatusRow{HostsWaiting: 1, Flags: considered},
			policyabi.StatusAnswer{ActiveState: policyabi.ModelStateLoading, ActiveFailure: policyabi.FailureRuntimeUnhealthy}},
		{"words of a later version", 0, policyabi.StatusRow{PreviousState: 99, Unsupported: 0},
			policyabi.StatusAnswer{ActiveState: policyabi.ModelStatePending, ActiveFailure: policyabi.FailureRuntimeUnhealthy}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.want.Transition = policyabi.TransitionUpToDate
			got := status(t, policyabi.StatusRequest{
				Context: policyabi.StatusContext{Transition: policyabi.TransitionUpToDate, HostsConnected: c.hosts},
				Rows:    []policyabi.StatusRow{c.row},
			})
			if got != c.want {
				t.Errorf("answer %+v, want %+v", got, c.want)
			}
		})
	}
}

// TestTargetStates: the model of a changed spec, while another one answers.
func TestTargetStates(t *testing.T) {
	loaded := policyabi.StatusRow{HostsReady: 1, Loaded: 1, Flags: policyabi.RevisionFlagConsidered}
	for _, c := range []struct {
		name       string
		hosts      uint32
		target     policyabi.StatusRow
		state      policyabi.ModelState
		failure    policyabi.Failure
		transition policyabi.Transition
	}{
		{"unknown to hosts", 1, policyabi.StatusRow{HostsReady: 1},
			policyabi.ModelStateLoading, 0, policyabi.TransitionInProgress},
		{"no host", 0, policyabi.StatusRow{},
			policyabi.ModelStateLoading, policyabi.FailureRuntimeUnhealthy, policyabi.TransitionInProgress},
		{"failed", 1, policyabi.StatusRow{HostsReady: 1, Failed: 1, NewestFailure: policyabi.FailureModelLoadFailed},
			policyabi.ModelStateFailedToLoad, policyabi.FailureModelLoadFailed, policyabi.TransitionBlockedByFailedLoad},
		{"tried again", 1, policyabi.StatusRow{HostsReady: 1, Loading: 1, Failed: 1, NewestFailure: policyabi.FailureModelLoadFailed},
			policyabi.ModelStateLoading, policyabi.FailureModelLoadFailed, policyabi.TransitionInProgress},
		{"failed before, and the host forgot", 1,
			policyabi.StatusRow{HostsReady: 1, Flags: policyabi.RevisionFlagConsidered | policyabi.RevisionFlagRefused},
			policyabi.ModelStateFailedToLoad, policyabi.FailureModelLoadFailed, policyabi.TransitionBlockedByFailedLoad},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.target.Flags |= policyabi.RevisionFlagTarget
			got := status(t, policyabi.StatusRequest{
				Context: policyabi.StatusContext{Transition: policyabi.TransitionInProgress, HostsConnected: c.hosts},
				Rows:    []policyabi.StatusRow{loaded, c.target},
			})
			want := policyabi.StatusAnswer{
				Transition: c.transition, ActiveState: policyabi.ModelStateLoaded, Ready: 1,
				TargetState: c.state, TargetFailure: c.failure,
			}
			if got != want {
				t.Errorf("answer %+v, want %+v", got, want)
			}
		})
	}
}

// TestStatusWithoutModel: all there is to say is what is wrong with the spec.
func TestStatusWithoutModel(t *testing.T) {
	got := status(t, policyabi.StatusRequest{Context: policyabi.StatusContext{
		Transition: policyabi.TransitionInvalidSpec, SpecFault: policyabi.FailureInvalidPredictorSpec, HostsConnected: 1,
	}})
	want := policyabi.StatusAnswer{
		Transition: policyabi.TransitionInvalidSpec, ActiveState: policyabi.ModelStatePending,
		ActiveFailure: policyabi.FailureInvalidPredictorSpec,
	}
	if got != want {
		t.Errorf("answer %+v, want %+v", got, want)
	}
}

func status(t *testing.T, r policyabi.StatusRequest) policyabi.StatusAnswer {
	t.Helper()
	got, err := policyabi.DecodeStatusAnswer(decide(t, policyabi.HookStatus, "modelmesh", &r))
	if err != nil {
		t.Fatal(err)
	}
	return got
}
