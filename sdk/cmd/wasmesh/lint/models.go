package lint

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/wasmesh/wasmesh/controller/resolve"
	"github.com/wasmesh/wasmesh/runtimes/builtin"
	"github.com/wasmesh/wasmesh/sdk/apis/serving"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// service checks an InferenceService.
func (l *linter) service(o *object) {
	var isvc v1beta1.InferenceService
	if err := o.decode(&isvc); err != nil {
		l.found(o, Error, []string{"spec"}, "the API server will refuse it: %v", err)
		return
	}
	if !resolve.IsModelMesh(&isvc) {
		lack := fmt.Sprintf("it has no annotation %s: %s", serving.AnnotationDeploymentMode, serving.DeploymentModeModelMesh)
		if mode, there := o.annotations[serving.AnnotationDeploymentMode]; there {
			lack = fmt.Sprintf("its annotation %s is not %s but %s", serving.AnnotationDeploymentMode, serving.DeploymentModeModelMesh, quoted(mode))
		}
		l.found(o, Warning, []string{"metadata", "annotations"}, "it is left alone, as by ModelMesh: %s", lack)
		return
	}
	l.ignoredOfService(o)
	l.wishes(o)
	spec, err := resolve.FromInferenceService(&isvc)
	l.model(o, spec, err)
}

// predictor checks a Predictor.
func (l *linter) predictor(o *object) {
	if o.apiVersion == versionOld {
		l.found(o, Warning, []string{"apiVersion"}, "%s is served only if the chart is told so: better write %s", versionOld, versionOther)
	}
	var p v1alpha1.Predictor
	if err := o.decode(&p); err != nil {
		l.found(o, Error, []string{"spec"}, "the API server will refuse it: %v", err)
		return
	}
	for _, key := range []string{"gpu", "serviceAccountName"} {
		if o.at("spec", key) != nil {
			l.found(o, Warning, []string{"spec", key}, "spec.%s has no effect, as with ModelMesh", key)
		}
	}
	l.wishes(o)
	spec, err := resolve.FromPredictor(&p)
	l.model(o, spec, err)
}

// model checks what either form says.
func (l *linter) model(o *object, spec resolve.Spec, err error) {
	if reason, ok := errors.AsType[*resolve.Reason](err); ok {
		l.found(o, Error, []string{"spec"}, "it will be %s: %s", reason.Code, reason.Message)
		return
	}
	l.modelStorage(o, spec)
	l.modelRuntime(o, spec)
}

// wishes are the annotations under wasmesh.dev, which are new; others that KServe knows are not followed.
func (l *linter) wishes(o *object) {
	_, faults := resolve.ReadWishes(o.annotations, resolve.Wishes{})
	for _, fault := range faults {
		l.found(o, Warning, annotationPath(o, fault), "%s", fault)
	}
	known := []string{
		serving.AnnotationDeploymentMode, serving.AnnotationSecretKey, serving.AnnotationSchemaPath, serving.AnnotationServingRuntime,
	}
	for _, key := range sortedKeys(o.annotations) {
		prefix, _, _ := strings.Cut(key, "/")
		foreign := prefix == "serving.kserve.io" || strings.HasSuffix(prefix, "knative.dev") || prefix == "sidecar.istio.io"
		if foreign && !slices.Contains(known, key) {
			l.found(o, Warning, []string{"metadata", "annotations", key}, "annotation %s has no effect on a model, as with ModelMesh", key)
		}
	}
}

// annotationPath is where the annotation stands that a fault names.
func annotationPath(o *object, fault string) []string {
	for _, key := range sortedKeys(o.annotations) {
		if strings.Contains(fault, key) {
			return []string{"metadata", "annotations", key}
		}
	}
	return []string{"metadata", "annotations"}
}

// ignoredOfService are the fields that only KServe's own controller follows.
func (l *linter) ignoredOfService(o *object) {
	for _, key := range o.keys("spec") {
		switch key {
		case "predictor":
		case "transformer", "explainer":
			l.found(o, Warning, []string{"spec", key}, "spec.%s is not deployed: with ModelMesh KServe's own controller did, and only while that runs", key)
		default:
			l.found(o, Warning, []string{"spec", key}, "spec.%s has no effect, as with ModelMesh", key)
		}
	}
	forms := []string{"model", "xgboost", "lightgbm", "sklearn", "tensorflow", "onnx", "pytorch", "triton", "pmml"}
	for _, key := range o.keys("spec", "predictor") {
		path := []string{"spec", "predictor", key}
		switch {
		case slices.Contains(forms, key):
			l.ignoredOfModel(o, path)
		case key == "minReplicas" || key == "maxReplicas":
			l.found(o, Warning, path, "spec.predictor.%s has no effect, as with ModelMesh: copies of a model are bounded by the annotations %s and %s",
				key, serving.AnnotationMinCopies, serving.AnnotationMaxCopies)
		default:
			l.found(o, Warning, path, "spec.predictor.%s has no effect, as with ModelMesh", key)
		}
	}
}

func (l *linter) ignoredOfModel(o *object, path []string) {
	for _, key := range o.keys(path...) {
		if !slices.Contains([]string{"modelFormat", "runtime", "storageUri", "protocolVersion", "storage"}, key) {
			l.found(o, Warning, append(slices.Clone(path), key), "%s.%s has no effect, as with ModelMesh: it is the runtime's to say",
				strings.Join(path, "."), key)
		}
	}
	storage := append(slices.Clone(path), "storage")
	for _, key := range o.keys(storage...) {
		if !slices.Contains([]string{"path", "schemaPath", "parameters", "key"}, key) {
			l.found(o, Warning, append(slices.Clone(storage), key), "%s.%s has no effect", strings.Join(storage, "."), key)
		}
	}
}

// modelRuntime looks for a runtime among those that were read; without any, others are most likely in the cluster.
func (l *linter) modelRuntime(o *object, spec resolve.Spec) {
	if len(l.runtimes) == 0 {
		return
	}
	eligible, reason := resolve.Eligible(spec, l.runtimes)
	if reason != nil {
		l.found(o, Warning, []string{"spec"}, "none of the runtimes that were read can hold it, so there has to be another: %s (%s)",
			reason.Message, resolve.Shortfall(spec, l.runtimes))
		return
	}
	var lacking []string
	for _, r := range resolve.Visible(spec.Namespace, l.runtimes) {
		if slices.Contains(eligible, r.Name) {
			if adapterProblem(r.Spec) == "" {
				return
			}
			lacking = append(lacking, r.Name)
		}
	}
	l.found(o, Error, []string{"spec"}, "it will not load: no runtime that can hold it has an adapter (%s)", strings.Join(lacking, ", "))
}

// adapterProblem says why a runtime cannot be driven; empty when it can.
func adapterProblem(s *v1alpha1.ServingRuntimeSpec) string {
	if s.BuiltInAdapter == nil {
		return ""
	}
	if _, err := builtin.Lookup(s.BuiltInAdapter.ServerType); err == nil {
		return ""
	}
	var known []string
	for _, t := range builtin.Types() {
		known = append(known, t.Name)
	}
	return fmt.Sprintf("there is no adapter for builtInAdapter.serverType %s: there are %s, and every runtime that speaks mmesh.ModelRuntime itself works without one",
		quoted(s.BuiltInAdapter.ServerType), strings.Join(known, ", "))
}
