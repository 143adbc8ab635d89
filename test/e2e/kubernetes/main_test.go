//go:build cluster

package kubernetes

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/test/cluster/terminal"
)

const (
	// release is the one installation that all tests share, and its namespace.
	release           = "wasmesh"
	releaseNamespace  = "modelmesh-serving"
	installTimeout    = 5 * time.Minute
	controllerService = "wasmesh-controller"
)

// theCluster is the one that is up.
var theCluster *terminal.Terminal

func TestMain(m *testing.M) {
	if spec := os.Getenv(loadVariable); spec != "" {
		if err := beClient(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(run(m))
}

// run installs the release once, as the README says, and leaves it for a look afterwards: who brought the cluster up takes
// it down.
func run(m *testing.M) int {
	var err error
	theCluster, err = terminal.At("../../..")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), installTimeout)
	defer cancel()
	if err := install(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "install the chart:", err)
		return 1
	}
	return m.Run()
}

// install puts the chart with the images of this clone into the cluster, or brings an earlier installation up to date.
func install(ctx context.Context) error {
	out, err := theCluster.Output(ctx, nil, "helm",
		"upgrade", "--install", release, "charts/wasmesh", "--namespace", releaseNamespace, "--create-namespace", "--wait", "--timeout", "4m",
		"--values", "test/cluster/values.yaml", "--set", "quickstart.enabled=true")
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}
