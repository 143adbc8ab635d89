package decide

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wasmesh/wasmesh/sdk/apis/serving"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// faulty makes the script's runtime one of which no pods can be made.
func (s *script) faulty() {
	bad := mlserver(tutorialRuntime, "sklearn")
	bad.Annotations = map[string]string{serving.AnnotationMaxLoadingConcurrency: "two"}
	s.in.Objects.ServingRuntimes = []*v1alpha1.ServingRuntime{bad}
}

// TestFaultyRuntimeRunsOn: an edit that makes a runtime faulty costs none of the models that its pods hold, and keeps none
// from coming; only pods are not made by it.
func TestFaultyRuntimeRunsOn(t *testing.T) {
	for name, spoil := range map[string]func(*metav1.ObjectMeta, *v1alpha1.ServingRuntimeSpec){
		"an annotation": func(o *metav1.ObjectMeta, _ *v1alpha1.ServingRuntimeSpec) {
			o.Annotations = map[string]string{serving.AnnotationMaxLoadingConcurrency: "two"}
		},
		"no memory request": func(_ *metav1.ObjectMeta, spec *v1alpha1.ServingRuntimeSpec) {
			spec.Containers[0].Resources = corev1.ResourceRequirements{}
		},
		"no containers": func(_ *metav1.ObjectMeta, spec *v1alpha1.ServingRuntimeSpec) { spec.Containers = nil },
		"an adapter": func(_ *metav1.ObjectMeta, spec *v1alpha1.ServingRuntimeSpec) {
			spec.BuiltInAdapter.ServerType = "unheard-of"
		},
		"a reserved name": func(_ *metav1.ObjectMeta, spec *v1alpha1.ServingRuntimeSpec) { spec.Containers[0].Name = "mm-a" },
	} {
		for _, clusterwide := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				s, model := loadedModel(t)
				before := rowsOf(s.out)
				if clusterwide {
					bad := clusterMLServer(tutorialRuntime, "sklearn")
					spoil(&bad.ObjectMeta, &bad.Spec)
					s.in.Objects.ServingRuntimes = nil
					s.in.Objects.ClusterServingRuntimes = []*v1alpha1.ClusterServingRuntime{bad}
				} else {
					bad := mlserver(tutorialRuntime, "sklearn")
					spoil(&bad.ObjectMeta, &bad.Spec)
					s.in.Objects.ServingRuntimes = []*v1alpha1.ServingRuntime{bad}
				}
				s.decide()
				if after := rowsOf(s.out); after != before {
					t.Errorf("rows\n%s\nwant them as they were:\n%s", after, before)
				}
				if len(s.out.InferenceServices) > 0 || len(s.out.Faults) != 1 || len(s.out.Runtimes) > 0 {
					t.Errorf("statuses %v, faults %v, plans %q", s.out.InferenceServices, s.out.Faults, plansOf(s.out))
				}
				s.wantEvents(EventInvalidSpec)

				// Its hosts take new models as well, and edits.
				s.declare(sklearn("n", "sklearn/new"))
				s.declare(sklearn("m", "sklearn/better"))
				s.decide()
				s.ack()
				next, _ := s.model("n")
				_, better := s.model("m")
				s.report("host-0", next, loadedCopy)
				s.report("host-0", better, loadedCopy)
				s.want("n", true, v1beta1.Loaded, "", v1beta1.UpToDate)
				s.want("m", true, v1beta1.Loaded, "", v1beta1.UpToDate)
				if now, _ := s.model("m"); now != better || now == model {
					t.Errorf("%s answers, want %s", now, better)
				}
			})
		}
	}
}

// TestFaultyRuntimeWithoutHosts: it is as one that is not there, when the last of its hosts has left and is not expected
// back.
func TestFaultyRuntimeWithoutHosts(t *testing.T) {
	const gone = "No ServingRuntime supports specified model type and/or protocol"
	s, model := loadedModel(t)
	s.host("other", "another-runtime")
	s.gateway("gateway").Hello.Runtime = tutorialRuntime
	s.faulty()
	s.ack()
	host := s.hosts["host-0"]

	host.Draining = &syncv1.Draining{Closing: true}
	s.decide()
	s.want("m", true, v1beta1.Loaded, "", v1beta1.UpToDate)
	host.Draining = nil
	host.Connected = false
	s.decide()
	if got := s.runtimesOf(model); !slices.Equal(got, []string{tutorialRuntime}) {
		t.Errorf("while its host is out of reach the model may be on %q", got)
	}
	host.Draining = &syncv1.Draining{Closing: true}
	s.decide()
	s.wantFailure("m", v1beta1.NoSupportingRuntime, gone)
	if got := s.runtimesOf(model); len(got) > 0 {
		t.Errorf("when its host has left the model may be on %q", got)
	}

	// The fault is mended.
	s.in.Objects.ServingRuntimes = []*v1alpha1.ServingRuntime{mlserver(tutorialRuntime, "sklearn")}
	s.decide()
	if got, want := plansOf(s.out), []string{"default/" + tutorialRuntime + " needed=true"}; !slices.Equal(got, want) {
		t.Errorf("plans %q, want %q", got, want)
	}
	delete(s.hosts, "host-0")
	s.faulty()
	s.decide()
	s.wantFailure("m", v1beta1.NoSupportingRuntime, gone)

	// Its pods come all the same, as of a Deployment that was made before: they are used at once.
	s.host("host-1", tutorialRuntime)
	s.ack()
	s.report("host-1", model, loadedCopy)
	s.want("m", true, v1beta1.Loaded, "", v1beta1.UpToDate)
}

// TestFaultyRuntimeAcrossARestart: a controller that starts anew has heard of no host yet, and the first that connects gets
// the catalog before it is heard of.
func TestFaultyRuntimeAcrossARestart(t *testing.T) {
	s, model := loadedModel(t)
	s.faulty()
	s.decide()
	before := rowsOf(s.out)
	hosts := s.hosts
	s.hosts, s.events = map[string]*Host{}, nil
	s.in.Settled, s.in.Memo, s.in.Faults, s.in.Published.Since = false, nil, nil, nil
	s.declare(mlserver("faulty from the beginning", "onnx"))
	s.in.Objects.ServingRuntimes[1].Spec.Containers = nil
	s.declare(service("n", "onnx", "onnx/a"))
	s.decide()
	if len(s.in.Active[Key{"default", v1beta1.Kind, "n"}].Runtimes) > 0 {
		t.Errorf("a model may be on a runtime that never had a host: %s", rowsOf(s.out))
	}
	s.in.Objects.InferenceServices = s.in.Objects.InferenceServices[:1]
	s.decide()
	if after := rowsOf(s.out); after != before {
		t.Errorf("rows\n%s\nwant them as they were:\n%s", after, before)
	}
	s.events = nil
	s.hosts, s.in.Settled = hosts, true
	s.ack()
	s.want("m", true, v1beta1.Loaded, "", v1beta1.UpToDate)
	s.wantEvents()
	if after := rowsOf(s.out); after != before {
		t.Errorf("rows\n%s\nwant them as they were:\n%s", after, before)
	}

	// Nobody comes back.
	s.hosts, s.in.Settled = map[string]*Host{}, false
	s.decide()
	s.in.Settled = true
	s.decide()
	if got := s.runtimesOf(model); len(got) > 0 {
		t.Errorf("without a host the model may be on %q", got)
	}
}

// runtimesOf answers what the row of a model has.
func (s *script) runtimesOf(model string) []string {
	s.t.Helper()
	for _, row := range s.out.Rows {
		if row.Key == ModelRowKey("default", model) {
			return row.GetModel().Runtimes
		}
	}
	s.t.Fatalf("no row of %s in %s", model, rowsOf(s.out))
	return nil
}
