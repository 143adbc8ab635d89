package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/controller/decide"
)

const (
	// shipPatience bounds how long a leader that starts waits for the runtimes that it has just made.
	shipPatience = 5 * time.Second
	// shipLook is the pause between two looks at what is cached, which cost next to nothing.
	shipLook = 20 * time.Millisecond
)

// shipRuntimes makes the runtimes of this installation, and waits until they are among the objects: models that were there
// before it, as after `helm uninstall` and `helm install`, are judged when it returns.
func (l *leader) shipRuntimes(ctx context.Context) error {
	if l.shipped == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, shipPatience)
	defer cancel()
	names, err := l.shipped.Apply(ctx)
	if err != nil {
		return err
	}
	again := time.NewTicker(shipLook)
	defer again.Stop()
	for !shows(l.source.Snapshot().Objects, names) {
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until %v are cached: %w", names, context.Cause(ctx))
		}
	}
	return nil
}

// shows reports whether there is a runtime of each name.
func shows(objects decide.Objects, names []string) bool {
	there := map[string]bool{}
	for _, o := range objects.ServingRuntimes {
		there[o.Name] = true
	}
	for _, o := range objects.ClusterServingRuntimes {
		there[o.Name] = true
	}
	return !slices.ContainsFunc(names, func(name string) bool { return !there[name] })
}
