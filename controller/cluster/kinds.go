package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/wasmesh/wasmesh/controller/source/kubernetes"
)

// lookForKinds is the pause between two looks for kinds that the cluster did not have at start.
const lookForKinds = 10 * time.Second

// laterKinds ends a replica when the cluster serves a kind that it did not at start, as when somebody else installs the
// CustomResourceDefinitions: what watches objects is set up once, and the process that is started next finds them. To watch
// the definitions instead would take leave to, which a controller of one namespace is not given.
type laterKinds struct {
	// detect asks the API server only about kinds that it has not been seen to serve.
	detect func() (kubernetes.Kinds, error)
	had    kubernetes.Kinds
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: a replica that waits has to know, too.
func (laterKinds) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (l laterKinds) Start(ctx context.Context) error {
	again := time.NewTicker(lookForKinds)
	defer again.Stop()
	for {
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil
		}
		kinds, err := l.detect()
		if err != nil {
			continue // A kind may also be missing because the API server is not well: it is asked again.
		}
		if later := kinds.Beyond(l.had); len(later) > 0 {
			return fmt.Errorf("the cluster serves %s now, and did not when this process started: start again", strings.Join(later, ", "))
		}
	}
}
