package controlplane

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"k8s.io/client-go/rest"
)

// pollInterval is how often a program is asked whether it is ready: far below what a start takes.
const pollInterval = 50 * time.Millisecond

// awaitReady returns when the API server answers its readiness check, which covers etcd and its own start-up, and when
// the namespace that everything lives in by default is there.
func (c *ControlPlane) awaitReady(ctx context.Context) error {
	config, err := c.Admin()
	if err != nil {
		return err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return fmt.Errorf("make client of the API server: %w", err)
	}
	defer client.CloseIdleConnections()
	for _, path := range []string{"/readyz", "/api/v1/namespaces/default"} {
		if err := c.await(ctx, func() error { return get(ctx, client, c.URL()+path) }); err != nil {
			return fmt.Errorf("wait for the API server: %w", err)
		}
	}
	return nil
}

// await polls until the check passes, ctx ends, or one of the children does.
func (c *ControlPlane) await(ctx context.Context, check func() error) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		last := check()
		if last == nil {
			return nil
		}
		for _, child := range c.children {
			select {
			case <-child.Done():
				return child.Ended()
			default:
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last answer: %w; its log: %s", context.Cause(ctx), last, c.path("log"))
		case <-ticker.C:
		}
	}
}

func get(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}
