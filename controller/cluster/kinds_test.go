package cluster

import (
	"context"
	"errors"
	"strings"
	"sync"
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
		var mu sync.Mutex
		now, failure := had, error(nil)
		say := func(kinds kubernetes.Kinds, err error) {
			mu.Lock()
			defer mu.Unlock()
			now, failure = kinds, err
		}
		l := laterKinds{had: had, detect: func() (kubernetes.Kinds, error) {
			mu.Lock()
			defer mu.Unlock()
			return now, failure
		}}
		ended := make(chan error, 1)
		go func() { ended <- l.Start(ctx) }()
		pass := func() {
			t.Helper()
			time.Sleep(lookForKinds)
			synctest.Wait()
		}
		pass()
		say(kubernetes.Kinds{ServingRuntimes: true}, nil)
		pass()
		say(kubernetes.Kinds{}, errors.New("connection refused"))
		pass()
		select {
		case err := <-ended:
			t.Fatalf("ended without a reason: %v", err)
		default:
		}
		say(kubernetes.Kinds{ServingRuntimes: true, InferenceServices: true}, nil)
		pass()
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "serves InferenceService now") {
			t.Errorf("ended with %v", err)
		}

		say(had, nil)
		go func() { ended <- l.Start(ctx) }()
		pass()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("a controller that is stopped: %v", err)
		}
	})
}
