package cli

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	"google.golang.org/grpc"
)

const (
	// maxNews bounds the lines that one change of the declared objects brings; `wasmesh get` shows all.
	maxNews = 10
	// rewatch is the pause before a watch that broke off is begun again.
	rewatch = time.Second
)

// news is what was last seen of the services and sources; bounded by what the sources declare.
type news struct {
	// status by reference; see service.status.
	status   map[reference]string
	warnings []string
}

// note takes services and warnings as known and answers a line for each that is news.
func (n *news) note(services []service, warnings []string) (lines []string) {
	if n.status == nil {
		n.status = make(map[reference]string)
	}
	for _, warning := range warnings {
		if !slices.Contains(n.warnings, warning) {
			lines = append(lines, "Warning: "+warning)
		}
	}
	n.warnings = warnings
	for _, s := range services {
		before, known := n.status[s.reference]
		after := s.status(before)
		if n.status[s.reference] = after; !known || before != after {
			lines = append(lines, s.line())
		}
	}
	return lines
}

// forget drops the services of the kind that are not there any more and answers a line for each.
func (n *news) forget(kind string, services []service) (lines []string) {
	there := make(map[reference]bool, len(services))
	for _, s := range services {
		there[s.reference] = true
	}
	for ref := range n.status {
		if ref.kind == kind && !there[ref] {
			delete(n.status, ref)
			lines = append(lines, fmt.Sprintf("%s %s: deleted", ref.kind, ref.name))
		}
	}
	slices.Sort(lines)
	return lines
}

// follow says what is new until ctx ends.
func (a *announcer) follow(ctx context.Context) {
	var mu sync.Mutex // guards a
	var watching sync.WaitGroup
	defer watching.Wait()
	for _, kind := range []string{kindService, kindPredictor} {
		watching.Go(func() {
			for ctx.Err() == nil {
				// An error is a controller that is being started again: the launcher says so.
				_ = a.client.watchServices(ctx, kind, func(services []service, warnings []string) {
					mu.Lock()
					defer mu.Unlock()
					a.tell(kind, services, warnings)
				})
				select {
				case <-ctx.Done():
				case <-time.After(rewatch):
				}
			}
		})
	}
}

// watchServices calls seen with each list of the kind until the watch breaks off.
func (c *client) watchServices(ctx context.Context, kind string, seen func(services []service, warnings []string)) error {
	stream, err := c.WatchObjects(ctx, &adminv1.WatchObjectsRequest{Kind: kind}, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	for {
		list, err := stream.Recv()
		if err != nil {
			return err
		}
		services, err := servicesOf(kind, list.GetObjects())
		if err != nil {
			return err
		}
		seen(services, list.GetWarnings())
	}
}

// tell says what is new in a list of all services of the kind. Warnings come with every kind's list: one kind's count.
func (a *announcer) tell(kind string, services []service, warnings []string) {
	if kind != kindService {
		warnings = a.news.warnings
	}
	lines := append(a.news.note(services, warnings), a.news.forget(kind, services)...)
	if more := len(lines) - maxNews; more > 0 {
		lines = append(lines[:maxNews], fmt.Sprintf("%d more changed; `%s` shows them", more, a.command("get isvc -o wide")))
	}
	for _, line := range lines {
		fmt.Fprintln(a.out, line)
	}
}
