package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wasmesh/wasmesh/controller/source/kubernetes"
)

// A kind that comes later ends the process; neither an API server that does not answer does, nor a kind that goes.
func TestLaterKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		had := kubernetes.Kinds{ServingRuntimes: true, Predictors: true}
		now, failure := had, error(nil)
		l := laterKinds{had: had, detect: func() (kubernetes.Kinds, error) { return now, failure }}
		ended := make(chan error, 1)
		go func() { ended <- l.Start(ctx) }()
		pass := func() {
			t.Helper()
			time.Sleep(lookForKinds)
			synctest.Wait()
		}
		pass()
		now.Predictors = false
		pass()
		now, failure = kubernetes.Kinds{}, errors.New("connection refused")
		pass()
		select {
		case err := <-ended:
			t.Fatalf("ended without a reason: %v", err)
		default:
		}
		now, failure = kubernetes.Kinds{ServingRuntimes: true, InferenceServices: true}, nil
		pass()
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "serves InferenceService now") {
			t.Errorf("ended with %v", err)
		}

		now = had
		go func() { ended <- l.Start(ctx) }()
		pass()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("a controller that is stopped: %v", err)
		}
	})
}
