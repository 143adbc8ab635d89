package cluster

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// One object that cannot be written must not keep the decisions about all others from being carried out, and an API server
// that cannot write anything must.
func TestRefusedAlone(t *testing.T) {
	resource := schema.GroupResource{Group: "serving.kserve.io", Resource: "inferenceservices"}
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"nothing":           {nil, false},
		"nobody answers":    {errors.New("connection refused"), false},
		"a webhook refuses": {apierrors.NewForbidden(resource, "m", errors.New("no")), true},
		"too large":         {apierrors.NewRequestEntityTooLargeError("annotations"), true},
		"a webhook is away": {apierrors.NewInternalError(errors.New(`failed calling webhook "isvc.example.com": no endpoints`)), true},
		"a webhook breaks": {&apierrors.StatusError{ErrStatus: metav1.Status{
			Code: http.StatusInternalServerError, Message: `admission webhook "isvc.example.com" denied the request: its database is away`,
		}}, true},
		"the store fails":         {apierrors.NewInternalError(errors.New("etcdserver: no leader")), false},
		"the store is slow":       {apierrors.NewTimeoutError("etcd", 1), false},
		"too many requests":       {apierrors.NewTooManyRequests("later", 1), false},
		"the token has ended":     {apierrors.NewUnauthorized("no"), false},
		"the API server is going": {apierrors.NewGenericServerResponse(http.StatusServiceUnavailable, "patch", resource, "m", "", 1, true), false},
	} {
		err := test.err
		if err != nil {
			err = fmt.Errorf("write active model: %w", err)
		}
		if got := refusedAlone(err); got != test.want {
			t.Errorf("%s: %v; want %v", name, got, test.want)
		}
	}
}
