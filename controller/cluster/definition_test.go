package cluster

import (
	"context"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// Whoever owns the definition of InferenceService takes it away, and all InferenceServices with it: what else there is goes
// on, and InferenceServices do when it is back.
func TestDefinitionThatGoes(t *testing.T) {
	r := newRig(t)
	r.run()
	h := r.host("pod-0")
	path := "one"
	p := &v1alpha1.Predictor{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.own, Name: "p"},
		Spec: v1alpha1.PredictorSpec{
			ModelType: v1alpha1.ModelType{Name: "sklearn"}, Storage: &v1alpha1.Storage{StorageSpec: v1beta1.StorageSpec{Path: &path}},
		},
	}
	r.create(r.runtime(), p, r.isvc("a", "one"))
	r.untilISVC("a", "loaded", ready)
	loaded := func(id string) func(p *v1alpha1.Predictor) bool {
		return func(p *v1alpha1.Predictor) bool {
			return p.Status.ActiveModelState == v1beta1.Loaded && p.Status.TransitionStatus == v1beta1.UpToDate && *p.Spec.Storage.Path == id
		}
	}
	r.untilPredictor("p", "loaded", loaded("one"))
	restore := r.removeDefinition("inferenceservices.serving.kserve.io")
	other := "two"
	r.edit(p, func() { p.Spec.Storage.Path = &other })
	r.untilPredictor("p", "loaded anew", loaded("two"))
	restore()
	r.create(r.isvc("a", "three"))
	r.untilISVC("a", "loaded again", ready)
	t.Logf("history of the host: %v", h.History())
}

// removeDefinition takes a CustomResourceDefinition away; restore makes it again.
func (r *rig) removeDefinition(name string) (restore func()) {
	r.t.Helper()
	scheme := runtime.NewScheme()
	r.must(apiextensionsv1.AddToScheme(scheme))
	c, err := client.New(r.rest, client.Options{Scheme: scheme})
	r.must(err)
	definition := &apiextensionsv1.CustomResourceDefinition{}
	r.must(c.Get(r.t.Context(), client.ObjectKey{Name: name}, definition))
	r.must(c.Delete(r.t.Context(), definition))
	there := func(o *apiextensionsv1.CustomResourceDefinition) bool {
		err := c.Get(context.Background(), client.ObjectKey{Name: name}, o)
		if err != nil && !apierrors.IsNotFound(err) {
			r.t.Error(err)
		}
		return err == nil
	}
	await(r, "the definition is gone", func() bool { return !there(definition.DeepCopy()) })
	restored := false
	restore = func() {
		if restored {
			return
		}
		restored = true
		again := &apiextensionsv1.CustomResourceDefinition{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: definition.Labels, Annotations: definition.Annotations}, Spec: definition.Spec,
		}
		// Other tests need it, too, and the context of this one may have ended.
		r.must(c.Create(context.Background(), again))
		await(r, "the definition is established", func() bool {
			o := &apiextensionsv1.CustomResourceDefinition{}
			if !there(o) {
				return false
			}
			for _, condition := range o.Status.Conditions {
				if condition.Type == apiextensionsv1.Established && condition.Status == apiextensionsv1.ConditionTrue {
					return true
				}
			}
			return false
		})
	}
	r.t.Cleanup(restore)
	return restore
}

// await looks again and again.
func await(r *rig, what string, is func() bool) {
	r.t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	end := time.After(time.Minute)
	for !is() {
		select {
		case <-again.C:
		case <-end:
			r.t.Fatalf("not within a minute: %s", what)
		}
	}
}
