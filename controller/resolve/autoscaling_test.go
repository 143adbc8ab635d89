package resolve

import (
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/apis/serving"
)

func TestReadAutoscaling(t *testing.T) {
	const class, metric, target = serving.AnnotationAutoscalerClass, serving.AnnotationAutoscalerMetric, serving.AnnotationTargetUtilization
	const least, most = serving.AnnotationMinScale, serving.AnnotationMaxScale
	hpa := func(more map[string]string) map[string]string {
		all := map[string]string{class: "hpa"}
		maps.Copy(all, more)
		return all
	}
	const fixed = `{containers: []}`
	tests := []struct {
		name        string
		annotations map[string]string
		spec        string
		want        *Autoscaling
		problems    []string
	}{
		{"none asked for", nil, fixed, nil, nil},
		{"class none", map[string]string{class: "none", least: "x", metric: "x"}, fixed, nil, nil},
		{"defaults", hpa(nil), fixed, &Autoscaling{"cpu", 80, 1, 1}, nil},
		{"all", hpa(map[string]string{metric: "memory", target: "100", least: "2", most: "7"}), fixed, &Autoscaling{"memory", 100, 2, 7}, nil},
		{"replicas without a class", nil, `{containers: [], replicas: 3}`, nil, nil},
		{
			"unknown class", map[string]string{class: "external"}, fixed, nil,
			[]string{`annotation serving.kserve.io/autoscalerClass: "external" is not a known class: use "hpa", or "none" for a fixed number of pods`},
		},
		{
			"replicas too", hpa(nil), `{containers: [], replicas: 3}`, nil,
			[]string{`spec.replicas and the annotation serving.kserve.io/autoscalerClass: "hpa" cannot both be set: remove one of them`},
		},
		{
			"metric", hpa(map[string]string{metric: "gpu"}), fixed, nil,
			[]string{`annotation serving.kserve.io/metrics: "gpu" is not a known metric: use "cpu" or "memory"`},
		},
		{
			"target without a class", map[string]string{target: "101"}, fixed, nil,
			[]string{`annotation serving.kserve.io/targetUtilizationPercentage: "101" is not a whole number from 1 to 100`},
		},
		{
			"none at least", hpa(map[string]string{least: "0", target: "0"}), fixed, nil,
			[]string{
				`annotation serving.kserve.io/targetUtilizationPercentage: "0" is not a whole number from 1 to 100`,
				`annotation serving.kserve.io/min-scale: "0" is not a whole number from 1 to 2147483647`,
			},
		},
		{
			"more at least than at most", hpa(map[string]string{least: "2"}), fixed, nil,
			[]string{`annotation serving.kserve.io/min-scale is 2, more than serving.kserve.io/max-scale, which is 1: raise the latter`},
		},
		{
			"not a number", hpa(map[string]string{least: "9\n9", most: "many"}), fixed, nil,
			[]string{
				`annotation serving.kserve.io/min-scale: "9\n9" is not a whole number from 1 to 2147483647`,
				`annotation serving.kserve.io/max-scale: "many" is not a whole number from 1 to 2147483647`,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := servingRuntime(t, "ns", "r", tt.spec)
			r.Annotations = tt.annotations
			got, err := ReadAutoscaling(r)
			if !reflect.DeepEqual(got, tt.want) || (err != nil) != (tt.problems != nil) {
				t.Errorf("got %v, %v; want %v", got, err, tt.want)
			}
			if err != nil && !reflect.DeepEqual(strings.Split(err.Error(), "\n"), tt.problems) {
				t.Errorf("got  %v\nwant %q", err, tt.problems)
			}
			// The runtime must not be used as long as its annotations cannot be followed.
			if got := annotationProblems(r); !reflect.DeepEqual(got, tt.problems) {
				t.Errorf("problems %q", got)
			}
		})
	}
}

func TestReadModelDir(t *testing.T) {
	const own, builtIn = `{containers: [{name: a, resources: {limits: {memory: 3Gi}, requests: {memory: 1Gi}}}, {name: b, resources: {requests: {memory: 1Gi}}}]}`,
		`{containers: [{name: triton}], builtInAdapter: {serverType: triton}}`
	const dir, size = serving.AnnotationModelDir, serving.AnnotationModelDirSize
	for _, tt := range []struct {
		spec        string
		annotations map[string]string
		writable    bool
		size        string
		problem     string
	}{
		{own, nil, true, "8Gi", ""},
		{builtIn, nil, false, "", ""},
		{own, map[string]string{dir: "read-only", size: "20Gi"}, false, "20Gi", ""},
		{builtIn, map[string]string{dir: "writable"}, true, "", ""},
		{builtIn, map[string]string{dir: "yes"}, false, "", `annotation wasmesh.dev/model-dir: "yes" is not "writable" or "read-only"`},
		{builtIn, map[string]string{size: "-1"}, false, "", `annotation wasmesh.dev/model-dir-size: "-1" is not a positive quantity of bytes such as "300Mi"`},
	} {
		r := servingRuntime(t, "ns", "r", tt.spec)
		r.Annotations = tt.annotations
		got, err := ReadModelDir(r)
		problem, found := "", ""
		if err != nil {
			problem = err.Error()
		}
		if got.Size != nil {
			found = got.Size.String()
		}
		if got.Writable != tt.writable || found != tt.size || problem != tt.problem {
			t.Errorf("%s %v: %v, %s, %q", tt.spec, tt.annotations, got.Writable, found, problem)
		}
	}
}
