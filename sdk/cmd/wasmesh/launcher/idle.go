package launcher

import (
	"context"
	"strings"

	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
)

// reportIdle says why nothing runs: nothing is declared that would need a runtime, or no runtime fits what is declared.
// It answers false when the controller did not say which.
func (l *launcher) reportIdle(ctx context.Context, client adminv1.AdminServiceClient) bool {
	sources := strings.Join(l.config.Sources, ", ")
	for _, kind := range []string{"InferenceService", "Predictor"} {
		list, err := client.ListObjects(ctx, &adminv1.ListObjectsRequest{Kind: kind})
		if err != nil {
			return false
		}
		if len(list.GetObjects()) > 0 {
			l.progress("no ServingRuntime in %s serves what is declared there: add one (MLServer's is in the clone: "+
				"-f runtimes/mlserver/servingruntime.yaml)", sources)
			return true
		}
	}
	l.progress("no InferenceService or Predictor is declared yet; waiting for one in %s", sources)
	return true
}
