//go:build cluster

package kubernetes

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"
)

// scaleGrace is for how long a runtime keeps its pods after its last model has gone, as these tests set it.
const scaleGrace = 5 * time.Second

// scaling is a mesh whose runtimes come and go, and how many pods each was to have.
type scaling struct {
	*user
	models *history
	pods   *record[int]
}

// TestScaling: runtimes have pods while there are models for them, as many as their owners or an autoscaler say.
func TestScaling(t *testing.T) {
	t.Parallel()
	setting(t, "scaleToZero", map[string]any{"enabled": true, "gracePeriodSeconds": int(scaleGrace.Seconds())})
	setting(t, "podsPerRuntime", 1)
	u := newUser(t, "fvt-scaling")
	u.put(map[string]string{"one.json": `{}`})
	s := scaling{u, u.watch("predictors"), &record[int]{values: map[string][]int{}}}
	u.follow("deployments", func(name string, object json.RawMessage) {
		var d struct{ Spec struct{ Replicas int } }
		if json.Unmarshal(object, &d) == nil {
			s.pods.add(name, d.Spec.Replicas)
		}
	})
	u.applyRuntimes(scaledRuntime("alpha", "{}")+"---"+scaledRuntime("beta", "{}")+"---"+
		scaledRuntime("gamma", `{serving.kserve.io/autoscalerClass: hpa}`), "alpha", "beta", "gamma")
	// They go on with what the one before has left.
	for _, step := range []struct {
		name string
		test func(scaling)
	}{
		{"no predictor", testNoPredictor},
		{"one predictor", testOnePredictor},
		{"within the grace period", testGracePeriod},
		{"autoscaler", testAutoscaler},
	} {
		if !t.Run(step.name, func(t *testing.T) {
			in := &user{t, u.namespace}
			step.test(scaling{in, s.models.in(t), s.pods})
		}) {
			return
		}
	}
}

// untilPods waits until a runtime is to have so many pods, and answers how many it was to have since the mark.
func (s scaling) untilPods(runtime string, mark, want int) []int {
	s.t.Helper()
	var all []int
	if !s.eventually(fmt.Sprintf("%s has %d pods", runtime, want), func() bool {
		all = s.pods.of("modelmesh-serving-"+runtime, mark)
		return slices.Contains(all, want)
	}) {
		s.t.Fatalf("%s was to have %v pods", runtime, all)
	}
	return all
}

func (s scaling) mark(runtime string) int { return s.pods.mark("modelmesh-serving-" + runtime) }

// untilGone waits until a runtime that was left has no pods; it must have kept them for the grace period.
func (s scaling) untilGone(runtime string, mark int, left time.Time) {
	s.t.Helper()
	s.untilPods(runtime, mark, 0)
	if after := time.Since(left); after < scaleGrace {
		s.t.Errorf("%s lost its pods after %v, within the grace period of %v", runtime, after, scaleGrace)
	}
}

// only compares what kubectl lists of a kind.
func (s scaling) only(kind string, want ...string) {
	s.t.Helper()
	if got := s.kubectl("get", kind, "-o", `jsonpath={.items[*].metadata.name}`); got != fmt.Sprint(want)[1:len(fmt.Sprint(want))-1] {
		s.t.Errorf("%s: %s, want %v", kind, got, want)
	}
}

func testNoPredictor(s scaling) {
	for _, runtime := range []string{"alpha", "beta", "gamma", "mlserver-1.x"} {
		if all := s.untilPods(runtime, 0, 0); len(all) > 1 {
			s.t.Errorf("%s was to have %v pods", runtime, all)
		}
	}
	s.only("hpa")
}

// testOnePredictor: its runtime comes up, and no other.
func testOnePredictor(s scaling) {
	s.apply(predictor("a", s.specForm("storage", "alpha", "one.json")))
	s.models.expectLoaded("a")
	if all := s.untilPods("alpha", 0, 1); !slices.Equal(all, []int{0, 1}) {
		s.t.Errorf("alpha was to have %v pods", all)
	}
	for _, runtime := range []string{"beta", "gamma", "mlserver-1.x"} {
		if all := s.pods.of("modelmesh-serving-"+runtime, 0); !slices.Equal(all, []int{0}) {
			s.t.Errorf("%s was to have %v pods", runtime, all)
		}
	}
}

// testGracePeriod: of two runtimes one loses its model, and then its pods; the other, whose model went before and came back,
// keeps them.
func testGracePeriod(s scaling) {
	s.apply(predictor("b", s.specForm("storage", "beta", "one.json")))
	s.models.expectLoaded("b")
	alpha, beta, a := s.mark("alpha"), s.mark("beta"), s.models.mark("a")
	s.replace(predictor("a", s.specForm("storage", "alpha", "one.json")))
	left := time.Now()
	s.kubectl("delete", "predictor", "b")
	s.untilGone("beta", beta, left)
	s.models.until("a", a, "loaded again", func(r reading) bool { return r.without() == loaded })
	if all := s.pods.of("modelmesh-serving-alpha", alpha); len(all) > 0 {
		s.t.Errorf("alpha was to have %v pods", all)
	}
	left = time.Now()
	s.kubectl("delete", "predictor", "a")
	s.untilGone("alpha", alpha, left)
}

// replace deletes an object and makes it again.
func (s scaling) replace(yaml string) {
	s.t.Helper()
	if out, err := s.tryWith(yaml, "replace", "--force"); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
}

// testAutoscaler: it is there while there is a model for its runtime, and says what the runtime's annotations say.
func testAutoscaler(s scaling) {
	const runtime = "servingruntime/gamma"
	gamma := s.mark("gamma")
	s.apply(predictor("c", s.specForm("storage", "gamma", "one.json")))
	s.models.expectLoaded("c")
	s.untilAutoscaler("1 1 cpu 80")
	s.kubectl("annotate", runtime, "serving.kserve.io/min-scale=2", "serving.kserve.io/max-scale=4",
		"serving.kserve.io/targetUtilizationPercentage=90", "serving.kserve.io/metrics=memory")
	s.untilAutoscaler("2 4 memory 90")
	s.kubectl("annotate", runtime, "serving.kserve.io/min-scale-", "serving.kserve.io/max-scale-",
		"serving.kserve.io/targetUtilizationPercentage-", "serving.kserve.io/metrics-")
	s.untilAutoscaler("1 1 cpu 80")
	s.kubectl("annotate", runtime, "serving.kserve.io/autoscalerClass-")
	s.untilAutoscaler("")
	if all := s.pods.of("modelmesh-serving-gamma", gamma); slices.Contains(all, 0) {
		s.t.Errorf("gamma was to have %v pods", all)
	}
	s.kubectl("annotate", runtime, "serving.kserve.io/autoscalerClass=hpa")
	s.untilAutoscaler("1 1 cpu 80")
	left := time.Now()
	s.kubectl("delete", "predictor", "c")
	s.untilGone("gamma", gamma, left)
	s.untilAutoscaler("")
}

// untilAutoscaler waits for bounds, metric and target of the one autoscaler; "" for none.
func (s scaling) untilAutoscaler(want string) {
	s.t.Helper()
	got := ""
	if !s.eventually(fmt.Sprintf("the autoscaler says %q", want), func() bool {
		got = s.kubectl("get", "hpa", "-o", "jsonpath={range .items[*]}{.spec.minReplicas} {.spec.maxReplicas} "+
			"{.spec.metrics[0].resource.name} {.spec.metrics[0].resource.target.averageUtilization}{end}")
		return got == want
	}) {
		s.t.Fatalf("the autoscaler says %q", got)
	}
}
