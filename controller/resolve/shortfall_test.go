package resolve

import (
	"fmt"
	"strings"
	"testing"
)

func TestShortfall(t *testing.T) {
	runtimes := []Runtime{
		servingRuntime(t, "ns", "a", `{containers: [], multiModel: true, protocolVersions: [grpc-v2], supportedModelFormats: [
			{name: sklearn, version: "0", autoSelect: true}, {name: sklearn, version: "1", autoSelect: true},
			{name: xgboost, autoSelect: true}, {name: byhand}]}`),
		servingRuntime(t, "", "b", `{containers: [], multiModel: true, supportedModelFormats: [{name: lightgbm, autoSelect: true}]}`),
		servingRuntime(t, "ns", "off", `{containers: [], multiModel: true, disabled: true, supportedModelFormats: [{name: onnx, autoSelect: true}]}`),
		servingRuntime(t, "other", "c", `{containers: [], multiModel: true, supportedModelFormats: [{name: pmml, autoSelect: true}]}`),
	}
	var formats []string
	for i := range maxDeclared + 2 {
		formats = append(formats, fmt.Sprintf("{name: f%d, autoSelect: true}", i))
	}
	many := []Runtime{servingRuntime(t, "ns", "many",
		"{containers: [], multiModel: true, supportedModelFormats: ["+strings.Join(formats, ", ")+"]}")}
	for _, tt := range []struct {
		spec     Spec
		runtimes []Runtime
		want     string
	}{
		{Spec{Namespace: "ns", Format: "sklern"}, runtimes, `asked for "sklern", declared: sklearn, xgboost, lightgbm`},
		{Spec{Namespace: "ns", Format: "sklearn", FormatVersion: "2"}, runtimes,
			`asked for "sklearn" version "2", declared: sklearn 0, sklearn 1, xgboost, lightgbm`},
		{Spec{Namespace: "ns", Format: "lightgbm", Protocol: "v1"}, runtimes,
			`asked for "lightgbm" with protocol "v1", declared: sklearn with grpc-v2, xgboost with grpc-v2, lightgbm`},
		{Spec{Namespace: "ns", Format: "sklearn", Runtime: "of"}, runtimes, `asked for the runtime "of", declared: a, b`},
		{Spec{Namespace: "ns", Format: "sklearn"}, nil, `asked for "sklearn", declared: none`},
	} {
		if got := Shortfall(tt.spec, tt.runtimes); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
	if got := Shortfall(Spec{Namespace: "ns", Format: "x"}, many); !strings.HasSuffix(got, ", f19 and 2 more") {
		t.Errorf("a long list: %s", got)
	}
}
