package cluster

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/controller/writeback"
	"github.com/wasmesh/wasmesh/sdk/apis/serving"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	"github.com/wasmesh/wasmesh/test/stubhost"
)

// From an object to a host and back into its status, as ModelMesh's users know it.
func TestFromObjectToStatus(t *testing.T) {
	r := newRig(t)
	r.run()
	r.create(r.runtime(), r.isvc("a", "one"))
	waiting := r.untilISVC("a", "waits for a pod", func(o *v1beta1.InferenceService) bool {
		return o.Status.ModelStatus.LastFailureInfo != nil
	})
	if f := waiting.Status.ModelStatus.LastFailureInfo; f.Reason != v1beta1.RuntimeUnhealthy || f.Message != "Waiting for runtime Pod to become available" {
		t.Errorf("failure %+v", f)
	}
	if waiting.Status.URL != "" || ready(waiting) {
		t.Errorf("status %+v", waiting.Status)
	}
	r.host("pod-0")
	o := r.untilISVC("a", "loaded", ready)
	url := "grpc://modelmesh-serving." + r.own + ":8033"
	component := o.Status.Components[v1beta1.PredictorComponent]
	if o.Status.URL != url || component.GrpcURL != url || component.RestURL != "http://modelmesh-serving."+r.own+":8008" ||
		o.Status.ModelStatus.LastFailureInfo != nil || o.Status.ObservedGeneration != 1 {
		t.Errorf("status %+v", o.Status)
	}
	kept := r.untilISVC("a", "remembered", func(o *v1beta1.InferenceService) bool { return o.Annotations[serving.AnnotationActiveModel] != "" })
	if m := writeback.ReadMemory(kept.Annotations); m.Active.GetAlias() != "a" || m.Active.GetStorage().GetPath() != "one" || m.Refused != "" {
		t.Errorf("memory %+v", m)
	}
	managers := map[string]string{}
	for _, f := range kept.ManagedFields {
		if f.Operation == metav1.ManagedFieldsOperationApply {
			managers[f.Manager] = f.Subresource
		}
	}
	if s, is := managers[writeback.ActiveManager]; !is || s != "" || managers[writeback.StatusManager] != "status" || len(managers) != 2 {
		t.Errorf("managers %v", managers)
	}
}

// A spec of which nothing can be made has a status that says so, and the others are not concerned.
func TestInvalidSpecHasStatus(t *testing.T) {
	r := newRig(t)
	r.run()
	r.host("pod-0")
	uri := "ftp://nowhere/x"
	bad := r.isvc("bad", "p")
	bad.Spec.Predictor.Model.Storage, bad.Spec.Predictor.Model.StorageURI = nil, &uri
	both := r.isvc("both", "p")
	s3 := "s3://bucket/x"
	both.Spec.Predictor.Model.StorageURI = &s3
	r.create(r.runtime(), bad, both, r.isvc("good", "one"))
	for _, name := range []string{"bad", "both"} {
		o := r.untilISVC(name, "invalid", func(o *v1beta1.InferenceService) bool {
			return o.Status.ModelStatus.TransitionStatus == v1beta1.InvalidSpec
		})
		if f := o.Status.ModelStatus.LastFailureInfo; f.Reason != v1beta1.InvalidPredictorSpec || f.Message == "" {
			t.Errorf("%s: failure %+v", name, f)
		}
	}
	r.untilISVC("good", "loaded", ready)
}

// A controller that starts anew writes nothing when nothing has changed, and has no model reloaded.
func TestRestartIsQuiet(t *testing.T) {
	r := newRig(t)
	stop := r.run()
	h := r.host("pod-0")
	r.create(r.runtime(), r.isvc("a", "one"))
	r.untilISVC("a", "loaded", ready)
	before := r.untilISVC("a", "remembered", func(o *v1beta1.InferenceService) bool { return o.Annotations[serving.AnnotationActiveModel] != "" })
	stop()
	r.run()
	// What comes after the restart is seen to the end; what was before is as it was.
	r.create(r.isvc("b", "two"))
	r.untilISVC("b", "loaded", ready)
	r.untilISVC("b", "remembered", func(o *v1beta1.InferenceService) bool { return o.Annotations[serving.AnnotationActiveModel] != "" })
	after := r.untilISVC("a", "there", func(*v1beta1.InferenceService) bool { return true })
	if after.ResourceVersion != before.ResourceVersion {
		t.Errorf("written after the restart:\nbefore %+v\nafter  %+v", before, after)
	}
	if got := h.History(); len(got) != 2 {
		t.Errorf("history of the host %v, want one load of each", got)
	}
}

// An edit made while nobody decides is a change all the same: what answered before answers until the new model is loaded,
// or for good when that fails.
func TestEditWhileAway(t *testing.T) {
	r := newRig(t)
	stop := r.run()
	h := r.host("pod-0")
	r.create(r.runtime(), r.isvc("a", "one"))
	o := r.untilISVC("a", "remembered", func(o *v1beta1.InferenceService) bool {
		return ready(o) && o.Annotations[serving.AnnotationActiveModel] != ""
	})
	stop()
	path := stubhost.BadPath
	r.edit(o, func() { o.Spec.Predictor.Model.Storage.Path = &path })
	stop = r.run()
	blocked := func(o *v1beta1.InferenceService) bool {
		return o.Status.ModelStatus.TransitionStatus == v1beta1.BlockedByFailedLoad && o.Annotations[serving.AnnotationRefusedModel] != ""
	}
	o = r.untilISVC("a", "blocked", blocked)
	if s := o.Status.ModelStatus; s.ModelRevisionStates.ActiveModelState != v1beta1.Loaded ||
		s.ModelRevisionStates.TargetModelState != v1beta1.FailedToLoad || s.LastFailureInfo.Location != "pod-0" || o.Status.URL == "" {
		t.Errorf("status %+v", o.Status)
	}
	stop()
	r.run()
	good := "three"
	r.edit(o, func() { o.Spec.Predictor.Model.Storage.Path = &good })
	o = r.untilISVC("a", "loaded", func(o *v1beta1.InferenceService) bool {
		m := writeback.ReadMemory(o.Annotations)
		return ready(o) && m.Refused == "" && m.Active.GetStorage().GetPath() == good
	})
	if o.Status.ModelStatus.LastFailureInfo != nil {
		t.Errorf("failure %+v", o.Status.ModelStatus.LastFailureInfo)
	}
	if got := strings.Join(h.History(), " "); strings.Count(got, "load a__") != strings.Count(got, "unload a__")+3 && strings.Count(got, " load") > 3 {
		t.Errorf("history of the host %v: something was loaded twice", got)
	}
}

// An object that is deleted and made again under its name is another object.
func TestRecreated(t *testing.T) {
	r := newRig(t)
	r.run()
	r.host("pod-0")
	r.create(r.runtime(), r.isvc("a", "one"))
	first := r.untilISVC("a", "loaded", ready)
	r.must(r.client.Delete(t.Context(), first))
	r.create(r.isvc("a", "one"))
	second := r.untilISVC("a", "loaded again", ready)
	if second.UID == first.UID {
		t.Fatal("it is the same object")
	}
	for _, c := range second.Status.Conditions {
		if c.LastTransitionTime.Before(&second.CreationTimestamp) {
			t.Errorf("condition %+v is older than its object", c)
		}
	}
}

// Another controller writes the same objects: what it writes stays, and does not make us write.
func TestBesideAnotherController(t *testing.T) {
	r := newRig(t)
	r.run()
	r.host("pod-0")
	r.create(r.runtime(), r.isvc("a", "one"))
	o := r.untilISVC("a", "remembered", func(o *v1beta1.InferenceService) bool {
		return ready(o) && o.Annotations[serving.AnnotationActiveModel] != ""
	})
	r.edit(o, func() {
		o.Labels, o.Finalizers = map[string]string{"example.com/a": "b"}, []string{"example.com/other"}
	})
	o.Status.Conditions = append(o.Status.Conditions, v1beta1.Condition{Type: "Another", Status: corev1.ConditionTrue})
	r.must(r.client.Status().Update(t.Context(), o))
	foreign := o.ResourceVersion

	r.create(r.isvc("b", "two"))
	r.untilISVC("b", "remembered", func(o *v1beta1.InferenceService) bool {
		return ready(o) && o.Annotations[serving.AnnotationActiveModel] != ""
	})
	o = r.untilISVC("a", "there", func(*v1beta1.InferenceService) bool { return true })
	if o.ResourceVersion != foreign {
		t.Error("what another has written made us write")
	}
	// A change of ours carries it over.
	path := stubhost.BadPath
	r.edit(o, func() { o.Spec.Predictor.Model.Storage.Path = &path })
	o = r.untilISVC("a", "blocked", func(o *v1beta1.InferenceService) bool {
		return o.Status.ModelStatus.TransitionStatus == v1beta1.BlockedByFailedLoad && o.Annotations[serving.AnnotationRefusedModel] != ""
	})
	if !slices.ContainsFunc(o.Status.Conditions, func(c v1beta1.Condition) bool { return c.Type == "Another" }) || len(o.Status.Conditions) != 3 {
		t.Errorf("conditions %+v", o.Status.Conditions)
	}
	r.edit(o, func() { o.Finalizers = nil })
}

// ModelMesh has written whole statuses; what is not so any more goes, although it was not we who wrote it.
func TestAfterModelMesh(t *testing.T) {
	r := newRig(t)
	o := r.isvc("a", "one")
	r.create(r.runtime(), o)
	o.Status = v1beta1.InferenceServiceStatus{
		URL:        "grpc://old:8033",
		Components: map[v1beta1.ComponentType]v1beta1.ComponentStatusSpec{v1beta1.PredictorComponent: {URL: "grpc://old:8033"}},
		Conditions: []v1beta1.Condition{{Type: v1beta1.ConditionReady, Status: corev1.ConditionTrue}},
		ModelStatus: v1beta1.ModelStatus{
			TransitionStatus: v1beta1.UpToDate, LastFailureInfo: &v1beta1.FailureInfo{Message: "old"},
			ModelRevisionStates: &v1beta1.ModelRevisionStates{ActiveModelState: v1beta1.Loaded},
		},
	}
	r.must(r.client.Status().Update(t.Context(), o, client.FieldOwner("manager")))
	r.run()
	r.untilISVC("a", "without an address", func(o *v1beta1.InferenceService) bool {
		return o.Status.URL == "" && o.Status.Components[v1beta1.PredictorComponent] == (v1beta1.ComponentStatusSpec{}) &&
			o.Status.ModelStatus.LastFailureInfo.Reason == v1beta1.RuntimeUnhealthy
	})
	r.host("pod-0")
	r.untilISVC("a", "without a failure", func(o *v1beta1.InferenceService) bool { return ready(o) && o.Status.ModelStatus.LastFailureInfo == nil })
}

func TestPredictor(t *testing.T) {
	r := newRig(t)
	r.run()
	path := "one"
	p := &v1alpha1.Predictor{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.own, Name: "p"},
		Spec: v1alpha1.PredictorSpec{
			ModelType: v1alpha1.ModelType{Name: "sklearn"}, Storage: &v1alpha1.Storage{StorageSpec: v1beta1.StorageSpec{Path: &path}},
		},
	}
	r.create(r.runtime(), p)
	waiting := r.untilPredictor("p", "waits for a pod", func(p *v1alpha1.Predictor) bool { return p.Status.LastFailureInfo != nil })
	if waiting.Status.Available || waiting.Status.ActiveModelState != v1beta1.Pending && waiting.Status.ActiveModelState != v1beta1.Loading {
		t.Errorf("status %+v", waiting.Status)
	}
	r.host("pod-0")
	p = r.untilPredictor("p", "loaded", func(p *v1alpha1.Predictor) bool { return p.Status.ActiveModelState == v1beta1.Loaded })
	if s := p.Status; !s.Available || s.TransitionStatus != v1beta1.UpToDate || s.TotalCopies != 1 || s.LastFailureInfo != nil ||
		s.GrpcEndpoint != "grpc://modelmesh-serving."+r.own+":8033" {
		t.Errorf("status %+v", s)
	}
	bad := stubhost.BadPath
	r.edit(p, func() { p.Spec.Storage.Path = &bad })
	p = r.untilPredictor("p", "blocked", func(p *v1alpha1.Predictor) bool { return p.Status.TransitionStatus == v1beta1.BlockedByFailedLoad })
	if s := p.Status; !s.Available || s.ActiveModelState != v1beta1.Loaded || s.TargetModelState != v1beta1.FailedToLoad ||
		s.LastFailureInfo.Reason != v1beta1.ModelLoadFailed || s.LastFailureInfo.Time == nil {
		t.Errorf("status %+v", s)
	}
	r.edit(p, func() { p.Spec.Storage.S3 = &v1alpha1.S3StorageSource{SecretKey: "k"} })
	p = r.untilPredictor("p", "invalid", func(p *v1alpha1.Predictor) bool { return p.Status.TransitionStatus == v1beta1.InvalidSpec })
	if got, want := p.Status.LastFailureInfo.Message, "spec.storage.s3 cannot be specified with any other keys in spec.storage"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
}

// Of two replicas one decides; when it goes the other takes over, and the host finds it under the same address.
func TestHandover(t *testing.T) {
	r := newRig(t)
	stop := r.run()
	h := r.host("pod-0")
	r.create(r.runtime(), r.isvc("a", "one"))
	remembered := func(o *v1beta1.InferenceService) bool {
		return ready(o) && o.Annotations[serving.AnnotationActiveModel] != ""
	}
	before := r.untilISVC("a", "remembered", remembered)
	r.run()
	stop()
	r.create(r.isvc("b", "two"))
	r.untilISVC("b", "remembered by the other", remembered)
	if after := r.untilISVC("a", "there", func(*v1beta1.InferenceService) bool { return true }); after.ResourceVersion != before.ResourceVersion {
		t.Error("written by the other though nothing changed")
	}
	if got := h.History(); len(got) != 2 {
		t.Errorf("history of the host %v, want one load of each", got)
	}
}
