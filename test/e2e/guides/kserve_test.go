//go:build cluster

package guides

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// looks of the neighbour in the time in which writes are counted.
const looks = 10

// quietLooks in a row, 200 ms apart, without a change are rest.
const quietLooks = 10

// TestBesideKServe is a release on a cluster that has KServe: the definition of InferenceServices is KServe's, and its
// controller writes the same objects. From the installation to its end nobody loses anything, and neither writes
// because of the other.
func TestBesideKServe(t *testing.T) {
	empty(t)
	o := newOwner(t, "beside-kserve")
	o.store()
	o.pipe(kserveDefinition, "create")
	o.kubectl("wait", "--for=condition=Established", "--timeout=1m", "crd/"+inferenceServices.GroupResource().String())
	n := newNeighbour(t, o.namespace)
	o.pipe(isvc("early", deployedByMesh, "custom", modelPath), "create")
	o.untilField("isvc/early", ".status.address.url", "http://early."+o.namespace+".example.com")
	n.rest(t)

	had := possessions(t)
	o.helm("install")
	unharmed(t, had, "install")
	o.pipe(fmt.Sprintf(runtimeForm, "ServingRuntime", "custom-1.x", "custom"), "create")
	// Both write it when it is made.
	o.pipe(isvc("late", deployedByMesh, "custom", modelPath), "create")
	for _, name := range []string{"early", "late"} {
		o.untilField("isvc/"+name, `.status.conditions[?(@.type=="Ready")].status`, "True")
		o.untilField("isvc/"+name, ".status.modelStatus.states.activeModelState", "Loaded")
	}
	n.rest(t)
	o.bothSay("early")
	o.bothSay("late")

	if len(n.others(0)) == 0 {
		t.Error("no write of ours was seen, though there must have been: the counts below say nothing")
	}

	had = possessions(t)
	n.observe(t, setting(t, "OBSERVE", 30*time.Second, time.ParseDuration))
	begin := n.count()
	o.helm("upgrade", "--reuse-values", "--set", "controller.logLevel=debug")
	unharmed(t, had, "upgrade")
	o.kubectl("rollout", "status", "deployment/wasmesh-controller", "--timeout=2m")
	o.helm("rollback", "1")
	unharmed(t, had, "rollback")
	n.rest(t)
	if others := n.others(begin); len(others) > 0 {
		t.Errorf("%d writes while the release was upgraded and rolled back:\n%s", len(others), describe(others))
	}

	// What we have to say leaves theirs.
	o.kubectl("patch", "isvc/late", "--type=merge", "--patch", `{"spec": {"predictor": {"model": {"modelFormat": {"name": "custom"}, "storage": {"key": "localMinIO", "path": "`+missingPath+`"}}}}}`)
	o.untilField("isvc/late", ".status.modelStatus.transitionStatus", "BlockedByFailedLoad")
	n.rest(t)
	o.bothSay("late")
	// And who deletes it has to wait for nobody but the finalizer's owner.
	o.kubectl("delete", "isvc/late", "--timeout=1m")

	had = possessions(t)
	o.helm("uninstall")
	t.Logf("people had %d objects", unharmed(t, had, "uninstall"))
	o.bothSay("early")
}

// helm does one thing to the release, with the images of the test cluster.
func (o *owner) helm(what string, args ...string) {
	o.t.Helper()
	args = append([]string{what, "wasmesh", "--namespace", o.namespace, "--wait", "--timeout", "3m"}, args...)
	switch what {
	case "install":
		args = append(args, "charts/wasmesh", "--values", "test/cluster/values.yaml")
	case "upgrade":
		args = append(args, "charts/wasmesh")
	}
	if out, err := theCluster.Output(o.t.Context(), nil, "helm", args...); err != nil {
		o.t.Fatalf("%v\n%s", err, out)
	}
}

// bothSay checks that an object has what the neighbour keeps on it, and the mesh's status.
func (o *owner) bothSay(name string) {
	o.t.Helper()
	var is struct {
		Metadata struct {
			Labels     map[string]string
			Finalizers []string
		}
		Status struct {
			Address    struct{ URL string }
			Components map[string]struct{ URL, LatestReadyRevision, LatestCreatedRevision string }
			Conditions []struct{ Type, Status string }
		}
	}
	if err := json.Unmarshal([]byte(o.kubectl("get", "isvc/"+name, "-o", "json")), &is); err != nil {
		o.t.Fatal(err)
	}
	conditions := map[string]string{}
	for _, c := range is.Status.Conditions {
		conditions[c.Type] = c.Status
	}
	url := "http://" + name + "." + o.namespace + ".example.com"
	got := fmt.Sprint(is.Metadata.Labels[neighbourLabel], is.Metadata.Finalizers, is.Status.Address.URL, is.Status.Components["transformer"],
		is.Status.Components["predictor"], conditions)
	want := fmt.Sprint("cluster-local", []string{neighbourFinalizer}, url, struct{ URL, LatestReadyRevision, LatestCreatedRevision string }{url, "transformer-00001", ""},
		struct{ URL, LatestReadyRevision, LatestCreatedRevision string }{o.grpcURL(), "", "transformer-00001"},
		map[string]string{neighbourCondition: "True", "TransformerReady": "True", "Ready": "True", "PredictorReady": "True"})
	if got != want {
		o.t.Errorf("%s has\n%s, want\n%s", name, got, want)
	}
}

// rest waits until nobody has written anything for a while.
func (n *neighbour) rest(t *testing.T) {
	t.Helper()
	before, quiet := -1, 0
	eventually(t, func() error {
		now := n.count()
		if now == before {
			quiet++
		} else {
			before, quiet = now, 0
		}
		if quiet < quietLooks {
			return fmt.Errorf("%d changes, the last %d looks ago", now, quiet)
		}
		return n.caughtUp(t.Context())
	})
}

// observe counts for so long the writes of others, while the neighbour goes on to write.
func (n *neighbour) observe(t *testing.T, duration time.Duration) {
	t.Helper()
	begin := n.count()
	again := time.NewTicker(duration / looks)
	defer again.Stop()
	for range looks {
		<-again.C
		if err := n.look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	n.rest(t)
	others := n.others(begin)
	t.Logf("in %v the neighbour wrote %d times, we %d times", duration, n.count()-begin-len(others), len(others))
	if len(others) > 0 {
		t.Errorf("we wrote because of the neighbour:\n%s", describe(others))
	}
}
