package predictor

import (
	"encoding/json"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// TestAfterModelMesh: what ModelMesh has written and we do not apply is null in what follows; what we apply, empty or not,
// takes the place of what is there by itself.
func TestAfterModelMesh(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	there := &v1alpha1.Predictor{Status: v1alpha1.PredictorStatus{
		Available: true, TransitionStatus: v1beta1.BlockedByFailedLoad,
		ActiveModelState: v1beta1.Loaded, TargetModelState: v1beta1.FailedToLoad, TotalCopies: 1, FailedCopies: 1,
		HTTPEndpoint: "http://old:8008", GrpcEndpoint: "grpc://old:8033",
		LastFailureInfo: &v1alpha1.FailureInfo{
			Location: "abcdef", Reason: v1beta1.ModelLoadFailed, Message: "old", ModelID: "p__ksp-0", Time: &at,
		},
	}}
	const empty = `{"available":false,"transitionStatus":"UpToDate","activeModelState":"Standby","targetModelState":"",`
	const counts = `"httpEndpoint":"","grpcEndpoint":"","totalCopies":0,"failedCopies":0}`
	for name, test := range map[string]struct {
		failure       *v1alpha1.FailureInfo
		applied, left string
	}{
		"no failure": {nil, empty + counts, `{"lastFailureInfo":null}`},
		"of a runtime": {
			&v1alpha1.FailureInfo{Reason: v1beta1.RuntimeUnhealthy, Message: "new", Time: &at},
			empty + `"lastFailureInfo":{"reason":"RuntimeUnhealthy","message":"new","time":"2026-01-02T03:04:05Z"},` + counts,
			`{"lastFailureInfo":{"location":null,"modelId":null}}`,
		},
		"of a model": {
			&v1alpha1.FailureInfo{Location: "host", Reason: v1beta1.ModelLoadFailed, Message: "new", ModelID: "p__ksp-1", Time: &at},
			empty + `"lastFailureInfo":{"location":"host","reason":"ModelLoadFailed","message":"new","modelId":"p__ksp-1",` +
				`"time":"2026-01-02T03:04:05Z"},` + counts,
			`null`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			decided := &v1alpha1.Predictor{Status: v1alpha1.PredictorStatus{
				TransitionStatus: v1beta1.UpToDate, ActiveModelState: v1beta1.Standby, LastFailureInfo: test.failure,
			}}
			applied, differs := status(decided, there)
			if got := marshalled(t, applied); !differs || got != test.applied {
				t.Errorf("applied %s\nwant    %s", got, test.applied)
			}
			if got := marshalled(t, left(decided, there)); got != test.left {
				t.Errorf("left %s, want %s", got, test.left)
			}
			if _, differs := status(decided, decided.DeepCopy()); differs || left(decided, decided) != nil {
				t.Error("written again")
			}
		})
	}
}

func marshalled(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
