package lint

import (
	"reflect"
	"slices"
	"strings"

	"github.com/wasmesh/wasmesh/controller/resolve"
	"github.com/wasmesh/wasmesh/controller/resources"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
)

// runtime checks a ServingRuntime or ClusterServingRuntime.
func (l *linter) runtime(o *object) {
	if o.apiVersion == versionOld {
		l.found(o, Error, []string{"apiVersion"}, "apiVersion %s is not served: write %s, and supportedModelFormats for supportedModelTypes", versionOld, versionOther)
		return
	}
	var decoded v1alpha1.ServingRuntime // The two kinds have the same fields.
	if err := o.decode(&decoded); err != nil {
		l.found(o, Error, []string{"spec"}, "the API server will refuse it: %v", err)
		return
	}
	r := resolve.Runtime{Namespace: o.namespace, Name: o.name, Annotations: o.annotations, Spec: &decoded.Spec}
	if o.kind == kindClusterRuntime {
		r.Namespace = ""
	}
	switch {
	case !r.Spec.IsMultiModel():
		l.found(o, Warning, []string{"spec", "multiModel"}, "it is left alone, as by ModelMesh: spec.multiModel is not true")
		return
	case r.Spec.IsDisabled():
		l.runtimes = append(l.runtimes, r) // It hides others of its name.
		return
	}
	serverType := []string{"spec", "builtInAdapter", "serverType"}
	problems, said := resolve.ValidateRuntime(r), false
	for _, problem := range problems {
		path := []string{"spec", "containers"}
		if strings.Contains(problem, "builtInAdapter.serverType") {
			path, said = serverType, true
		}
		l.found(o, Error, path, "it gets no pods: %s", problem)
	}
	if len(problems) == 0 {
		l.pods(o, r)
	}
	if problem := adapterProblem(r.Spec); problem != "" && !said {
		l.found(o, Error, serverType, "it loads no models: %s", problem)
	}
	l.ignoredOfRuntime(o, r.Spec)
	l.runtimes = append(l.runtimes, r)
}

// pods finds what stands against making them.
func (l *linter) pods(o *object, r resolve.Runtime) {
	if _, err := resolve.RuntimePlan(o.namespace, r); err != nil {
		l.found(o, Error, []string{"spec", "containers"}, "it gets no pods: %v", err)
		return
	}
	mesh := resources.Mesh{
		Namespace: o.namespace, Config: l.settings, HostImage: "host", ControllerAddress: "controller",
		TLSSecret: &resources.TLSSecret{HasCA: true}, // Where the settings ask for one, it is in the cluster.
	}
	asked := resources.Runtime{Name: r.Name, Spec: r.Spec, Annotations: r.Annotations}
	if _, err := resources.Deployment(mesh, asked, nil); err != nil {
		l.found(o, Error, []string{"spec"}, "it gets no pods: %v", err)
	}
	if _, err := resources.Autoscaler(mesh, asked); err != nil {
		l.found(o, Error, []string{"metadata", "annotations"}, "it gets no autoscaler: %v", err)
	}
}

// ignoredOfRuntime are fields that are followed by nobody here.
func (l *linter) ignoredOfRuntime(o *object, s *v1alpha1.ServingRuntimeSpec) {
	known := jsonFields(reflect.TypeFor[v1alpha1.ServingRuntimeSpec]())
	for _, key := range o.keys("spec") {
		if !slices.Contains(known, key) {
			l.found(o, Warning, []string{"spec", key}, "spec.%s has no effect, as with ModelMesh", key)
		}
	}
	if s.HTTPDataEndpoint != nil {
		l.found(o, Warning, []string{"spec", "httpDataEndpoint"}, "spec.httpDataEndpoint has no effect, as with ModelMesh: REST is translated to gRPC")
	}
	if s.StorageHelper != nil && s.StorageHelper.Disabled {
		l.found(o, Warning, []string{"spec", "storageHelper"}, "spec.storageHelper.disabled has no effect: the host fetches a model before the runtime loads it, so the runtime is given the path of the files")
	}
	if a := s.BuiltInAdapter; a != nil && len(a.Env) > 0 {
		l.found(o, Warning, []string{"spec", "builtInAdapter", "env"}, "spec.builtInAdapter.env has no effect: there is no adapter container; timeouts and sizes have fields in spec.builtInAdapter")
	}
	if _, found := o.annotations["productConfig"]; found {
		l.found(o, Warning, []string{"metadata", "annotations", "productConfig"}, "annotation productConfig has no effect, as with ModelMesh")
	}
}

// jsonFields are the names of a struct's fields in JSON, those of embedded structs among them.
func jsonFields(t reflect.Type) (names []string) {
	for field := range t.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous && strings.Contains(options, "inline") {
			names = append(names, jsonFields(field.Type)...)
			continue
		}
		names = append(names, name)
	}
	return names
}
