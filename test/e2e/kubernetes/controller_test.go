//go:build cluster

package kubernetes

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// awayVariable says for how long the controller is away, if not for awayTime.
const (
	awayVariable = "WASMESH_TEST_CONTROLLER_AWAY"
	awayTime     = 20 * time.Second
)

// away is the time that the controller is away.
func away(t *testing.T) time.Duration {
	t.Helper()
	said := os.Getenv(awayVariable)
	if said == "" {
		return awayTime
	}
	d, err := time.ParseDuration(said)
	if err != nil {
		t.Fatalf("%s: %v", awayVariable, err)
	}
	return d
}

// TestControllerAway: without a controller requests are answered and models are loaded as ever. When it is back, what it
// says is right, and no host has loaded anything on that account.
func TestControllerAway(t *testing.T) {
	t.Parallel()
	u := newRelease(t, "controller-away", `{podsPerRuntime: 2, scaleToZero: {enabled: false}}`)
	// Eight models fit.
	u.put(map[string]string{"model.json": `{"load_ms": 50, "service_ms": 20, "size_bytes": 31457280}`})
	u.apply(scaledRuntime("fake", "{}"))
	var models []string
	for i := range 12 {
		models = append(models, fmt.Sprintf("m%d", i))
		u.apply(fakeModel(models[i], u.namespace))
	}
	u.untilField("deployment/modelmesh-serving-fake", ".status.readyReplicas", "2")
	steady, others := models[:2], models[2:]
	clients := u.startLoad(steady...)

	u.kubectl("scale", "deployment/"+controllerService, "--replicas=0")
	u.eventually("the controller has gone", func() bool {
		return u.kubectl("get", "pods", "-l", "app.kubernetes.io/component=controller", "-o", "name") == ""
	})
	gone, before, asked := time.Now(), u.sum("modelmesh_loadmodel_milliseconds_count"), 0
	for end := gone.Add(away(t)); time.Now().Before(end); asked++ {
		u.served(others[asked%len(others)])
	}
	loads := u.sum("modelmesh_loadmodel_milliseconds_count")
	t.Logf("away for %v: %d further requests, %v loads", time.Since(gone).Round(time.Second), asked, loads-before)
	if loads == before {
		t.Error("nothing was loaded, though not everything fits")
	}
	u.kubectl("scale", "deployment/"+controllerService, "--replicas=1")
	u.kubectl("rollout", "status", "deployment/"+controllerService, "--timeout=2m")
	u.eventually("as many InferenceServices are Loaded as hosts have loaded", func() bool {
		states := strings.Fields(u.kubectl("get", "isvc", "-o", "jsonpath={.items[*].status.modelStatus.states.activeModelState}"))
		loaded := 0
		for _, state := range states {
			if state == "Loaded" {
				loaded++
			}
		}
		return len(states) == len(models) && float64(loaded) == u.sum("modelmesh_models_loaded_total")
	})
	u.untilField("isvc/"+others[(asked-1)%len(others)], ".status.modelStatus.states.activeModelState", "Loaded")
	for _, ready := range strings.Fields(u.kubectl("get", "isvc", "-o", `jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}`)) {
		if ready != "True" {
			t.Error("an InferenceService is not Ready afterwards")
		}
	}
	endAll(t, clients)
	if after := u.sum("modelmesh_loadmodel_milliseconds_count"); after != loads {
		t.Errorf("%v loads when the controller was back", after-loads)
	}
}

// sum adds a metric up over the pods of the mesh and its labels.
func (u *user) sum(metric string) (sum float64) {
	u.t.Helper()
	for ip := range strings.FieldsSeq(u.kubectl("get", "pods", "-l", "modelmesh-service=modelmesh-serving", "-o", "jsonpath={.items[*].status.podIP}")) {
		response, err := inNode().Get("http://" + net.JoinHostPort(ip, "2112") + "/metrics")
		if err != nil {
			u.t.Fatal(err)
		}
		defer response.Body.Close()
		found := false
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			line := lines.Text()
			if name, _, _ := strings.Cut(strings.ReplaceAll(line, "{", " "), " "); name != metric {
				continue
			}
			found = true
			n, err := strconv.ParseFloat(line[strings.LastIndex(line, " ")+1:], 64)
			if err != nil {
				u.t.Fatalf("%s: %v", lines.Text(), err)
			}
			sum += n
		}
		if !found {
			u.t.Fatalf("%s has no metric %s", ip, metric)
		}
	}
	return sum
}
