//go:build cluster

package kubernetes

import (
	"bufio"
	"context"
	"strings"
	"sync"
)

// forward is `kubectl port-forward` of the mesh's Service to the same port of the cluster's network, until stop is called.
func (u *user) forward(port string) (stop func()) {
	u.t.Helper()
	ctx, cancel := context.WithCancel(u.t.Context())
	c, err := theCluster.Command(ctx, "kubectl", "port-forward", "--namespace", u.namespace, "service/modelmesh-serving", port)
	if err != nil {
		u.t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		u.t.Fatal(err)
	}
	var said strings.Builder
	c.Stderr = &said
	if err := c.Start(); err != nil {
		u.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	up := lines.Scan()
	var reading sync.WaitGroup
	reading.Go(func() {
		for lines.Scan() {
		}
	})
	stop = func() {
		cancel()
		reading.Wait()
		_ = c.Wait() // It was killed.
	}
	if !up {
		stop()
		u.t.Fatalf("kubectl port-forward %s: %s", port, said.String())
	}
	return stop
}
