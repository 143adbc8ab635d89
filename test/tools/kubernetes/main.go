// Command kubernetes is every program of a one-node Kubernetes in one file: it is what the name says that it is started
// by (argv[0]), so that bin/tools/kubernetes holds a symbolic link for each. One program instead of seven links the
// shared three quarters of their code once; what a program does is upstream's own command, unchanged.
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	_ "time/tzdata" // time zones of CronJobs

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // credential plugins of kubectl
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	programs := map[string]func(){
		"etcd":                    func() { etcdmain.Main(os.Args) },
		"kube-apiserver":          serve(apiserver.NewAPIServerCommand),
		"kube-controller-manager": serve(controllermanager.NewControllerManagerCommand),
		"kube-scheduler":          serve(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
		"kubelet":                 serve(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
		"kube-proxy":              serve(proxy.NewProxyCommand),
		"kubectl":                 runKubectl,
	}
	program, ok := programs[filepath.Base(os.Args[0])]
	if !ok {
		names := slices.Sorted(maps.Keys(programs))
		fmt.Fprintf(os.Stderr, "%s: not the name of a program; start it by a link with one of these names: %s\n",
			os.Args[0], strings.Join(names, " "))
		os.Exit(2)
	}
	program()
}

// serve is the main function that the five servers share. Commands are made when they are run: making one registers its
// flags, and two would not agree.
func serve(command func() *cobra.Command) func() {
	return func() { os.Exit(cli.Run(command())) }
}

func runKubectl() {
	// Upstream's order: how much is logged is known before the command is made, which looks for plugins.
	_, _ = logs.GlogSetter(kubectl.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
}
