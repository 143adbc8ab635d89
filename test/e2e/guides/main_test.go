//go:build cluster

package guides

import (
	"fmt"
	"os"
	"testing"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/wasmesh/wasmesh/test/cluster/terminal"
)

// theCluster is the one that is up, and api its API server.
var (
	theCluster *terminal.Terminal
	api        *dynamic.DynamicClient
)

func TestMain(m *testing.M) {
	if err := find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// find the cluster of this clone.
func find() (err error) {
	theCluster, err = terminal.At("../../..")
	if err != nil {
		return err
	}
	config, err := theCluster.Rest()
	if err != nil {
		return err
	}
	// Many small requests in a row, of one client.
	config.QPS, config.Burst = 100, 200
	config.WarningHandler = rest.NoWarnings{} // KServe's finalizer has no domain.
	api, err = dynamic.NewForConfig(config)
	return err
}
