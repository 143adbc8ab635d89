package decide

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

func TestAddresses(t *testing.T) {
	s, _ := loadedModel(t)
	st := s.isvc("m").Status
	c := st.Components[v1beta1.PredictorComponent]
	if st.URL != "grpc://modelmesh-serving.default:8033" || c.URL != st.URL || c.GrpcURL != st.URL ||
		c.RestURL != "http://modelmesh-serving.default:8008" {
		t.Errorf("addresses %+v, url %s", c, st.URL)
	}
	if st.ObservedGeneration != 1 {
		t.Errorf("observedGeneration %d", st.ObservedGeneration)
	}
	s.in.Endpoints = Endpoints{GRPC: "grpc://127.0.0.1:8033", REST: "http://127.0.0.1:8008"}
	s.decide()
	st = s.isvc("m").Status
	if c = st.Components[v1beta1.PredictorComponent]; st.URL != "grpc://127.0.0.1:8033" || c.RestURL != "http://127.0.0.1:8008" {
		t.Errorf("standalone addresses %+v, url %s", c, st.URL)
	}
	s.hosts["host-0"].Connected = false
	s.decide()
	if st = s.isvc("m").Status; st.URL != "" || len(st.Components) > 0 {
		t.Errorf("addresses %+v of a model that does not answer, url %s", st.Components, st.URL)
	}
}

// TestConditions: every status has a reason and a message, and a time that moves with the status only.
func TestConditions(t *testing.T) {
	s := newScript(t, mlserver(tutorialRuntime, "sklearn"), sklearn("m", "sklearn/a"))
	s.in.Objects.InferenceServices[0].Status.Conditions = []v1beta1.Condition{
		{Type: "TransformerReady", Status: corev1.ConditionTrue},
	}
	s.host("host-0", tutorialRuntime)
	s.decide()
	id, _ := s.model("m")
	check := func(status corev1.ConditionStatus, reason string, since time.Time) {
		t.Helper()
		conditions := s.isvc("m").Status.Conditions
		if len(conditions) != 3 || find(conditions, "TransformerReady") == nil {
			t.Fatalf("conditions %+v, want ours and the one that was there", conditions)
		}
		for _, kind := range []string{v1beta1.ConditionReady, v1beta1.ConditionPredictorReady} {
			c := find(conditions, kind)
			if c.Status != status || c.Reason != reason || c.Message == "" || !c.LastTransitionTime.Time.Equal(since) {
				t.Errorf("condition %+v, want %s for %s since %v, and a message", *c, status, reason, since)
			}
		}
	}
	created := s.in.Now.Truncate(time.Second)
	check(corev1.ConditionFalse, "Pending", created)
	s.fail("host-0", id, "not found", s.in.Now)
	check(corev1.ConditionFalse, "ModelLoadFailed", created)
	s.report("host-0", id, loadedCopy)
	answers := s.in.Now.Truncate(time.Second)
	check(corev1.ConditionTrue, "Loaded", answers)
	s.gone("host-0", id)
	s.ack()
	check(corev1.ConditionTrue, "Standby", answers)
}

// TestUnchangedStatusIsNotWritten, also when it was read back from JSON in another time zone.
func TestUnchangedStatusIsNotWritten(t *testing.T) {
	s, model := loadedModel(t)
	s.fail("host-0", model, "not found", s.in.Now)
	o := s.isvc("m").DeepCopy()
	elsewhere := metav1.NewTime(o.Status.ModelStatus.LastFailureInfo.Time.In(time.FixedZone("", 3600)))
	o.Status.ModelStatus.LastFailureInfo.Time = &elsewhere
	o.Status.Components = map[v1beta1.ComponentType]v1beta1.ComponentStatusSpec{}
	s.in.Objects.InferenceServices[0] = o
	s.decide()
	if len(s.out.InferenceServices) > 0 {
		t.Errorf("written again: %+v", s.out.InferenceServices)
	}
}

func TestPredictor(t *testing.T) {
	s := newScript(t, mlserver(tutorialRuntime, "sklearn"), predictor("p", "sklearn/a"))
	s.in.Objects.Predictors[0].Status = v1alpha1.PredictorStatus{
		TransitionStatus: v1beta1.UpToDate, ActiveModelState: v1beta1.Pending,
	}
	s.host("host-0", tutorialRuntime)
	status := func() v1alpha1.PredictorStatus { return s.in.Objects.Predictors[0].Status }
	s.decide()
	a := s.alias("p")
	if a.Owner != "ksp" {
		t.Fatalf("alias %v", a)
	}
	if st := status(); st.Available || st.GrpcEndpoint != "grpc://modelmesh-serving.default:8033" ||
		st.HTTPEndpoint != "http://modelmesh-serving.default:8008" {
		t.Fatalf("status %+v", st)
	}
	s.ack()
	s.fail("host-0", a.ActiveModelId, "not found", s.in.Now)
	st := status()
	if st.Available || st.ActiveModelState != v1beta1.FailedToLoad || st.TotalCopies != 1 || st.FailedCopies != 1 ||
		st.LastFailureInfo == nil || st.LastFailureInfo.ModelID != a.ActiveModelId ||
		st.LastFailureInfo.Reason != v1beta1.ModelLoadFailed || st.LastFailureInfo.Message != "not found" {
		t.Fatalf("status %+v, failure %+v", st, st.LastFailureInfo)
	}
	s.report("host-0", a.ActiveModelId, loadedCopy)
	if st := status(); !st.Available || st.ActiveModelState != v1beta1.Loaded || st.TransitionStatus != v1beta1.UpToDate ||
		st.LastFailureInfo != nil {
		t.Fatalf("status %+v", st)
	}
	if st := status(); st.TargetModelState != "" {
		t.Fatalf("target %q", st.TargetModelState)
	}
}
