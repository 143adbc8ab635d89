//go:build cluster

package kubernetes

import (
	"testing"
	"time"
)

// TestSleep: a runtime of which nobody asks anything has no pods after the grace, and nobody who looks at its models sees
// anything wrong; the next request wakes it and is answered. Without models it sleeps, too.
func TestSleep(t *testing.T) {
	t.Parallel()
	u := newRelease(t, "sleep", `{podsPerRuntime: 1, scaleToZero: {enabled: true, gracePeriodSeconds: 2, onIdle: true}}`)
	u.put(map[string]string{"model.json": `{"load_ms": 50, "size_bytes": 1048576}`})
	u.apply(scaledRuntime("fake", "{}"))
	u.apply(fakeModel("m", u.namespace))
	const deployment, isvc = "deployment/modelmesh-serving-fake", "isvc/m"
	u.untilField(isvc, ".status.modelStatus.states.activeModelState", "Loaded")

	started := time.Now()
	u.untilField(deployment, ".spec.replicas", "0")
	t.Logf("no pods are wanted after %v", time.Since(started).Round(time.Second))
	u.eventually("the pods have gone", func() bool { return len(u.podNames()) == 1 }) // The gateway's stays.
	asleep := func() {
		t.Helper()
		u.untilField(isvc, ".status.modelStatus.states.activeModelState", "Standby")
		for path, want := range map[string]string{
			`.status.conditions[?(@.type=="Ready")].status`: "True",
			".status.modelStatus.transitionStatus":          "UpToDate",
			".status.modelStatus.lastFailureInfo":           "",
		} {
			if got := u.field(isvc, path); got != want {
				t.Errorf("asleep, %s is %q, want %q", path, got, want)
			}
		}
	}
	asleep()
	// A controller that starts anew sees no pods, and knows why.
	u.kubectl("rollout", "restart", "deployment/"+controllerService)
	u.kubectl("rollout", "status", "deployment/"+controllerService, "--timeout=2m")
	asleep()

	started = time.Now()
	u.served("m")
	t.Logf("asked while asleep, answered after %v", time.Since(started).Round(time.Millisecond))
	u.untilField(isvc, ".status.modelStatus.states.activeModelState", "Loaded")
	u.untilField(deployment, ".spec.replicas", "1")
	u.kubectl("delete", "isvc", "m")
	u.untilField(deployment, ".spec.replicas", "0")
}
