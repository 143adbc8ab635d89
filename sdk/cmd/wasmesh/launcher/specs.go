package launcher

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/wasmesh/wasmesh/runtimes"
	"github.com/wasmesh/wasmesh/runtimes/builtin"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
)

func (l *launcher) controllerSpec() (Spec, error) {
	program, err := findProgram(l.config.BinDir, controllerProgram)
	if err != nil {
		return Spec{}, err
	}
	args := []string{
		"--data-dir", l.paths.Root,
		"--sync-address", l.paths.syncAddress(),
		"--advertise-grpc", "grpc://" + l.config.GRPCAddress,
		"--advertise-rest", "http://" + l.config.RESTAddress,
		"--exit-on-stdin-eof",
	}
	for _, source := range l.config.Sources {
		absolute, err := filepath.Abs(source)
		if err != nil {
			return Spec{}, fmt.Errorf("-f %s: %w", source, err)
		}
		args = append(args, "--source", absolute)
	}
	return Spec{
		Name: controllerProgram, Program: program, Args: args, Env: os.Environ(), Dir: l.paths.Root,
		Ours: true, Grace: controllerGrace, Ports: map[string]string{"sync": l.paths.syncAddress()},
	}, nil
}

// specs says how to run the k-th member of a runtime.
func (l *launcher) specs(key string, plan *adminv1.RuntimePlan, k int) (specs memberSpecs, err error) {
	p, err := l.place(key, plan, k)
	if err != nil {
		return specs, err
	}
	if specs.runtime, err = l.runtimeSpec(plan, p); err != nil {
		return specs, err
	}
	specs.host, err = l.hostSpec(plan, p)
	return specs, err
}

// runtimeSpec makes a local process of the ServingRuntime's container.
func (l *launcher) runtimeSpec(plan *adminv1.RuntimePlan, p *place) (Spec, error) {
	server, err := builtin.Lookup(plan.GetServerType())
	if err != nil {
		return Spec{}, err
	}
	workDir, modelsDir, e := l.paths.runtime(p.id), l.paths.models(p.id), p.endpoints
	process, err := server.Process(runtimes.ProcessConfig{
		GRPCAddress: e.runtimeGRPC, HTTPAddress: e.runtimeHTTP, MetricsAddress: e.runtimeMetrics,
		ModelsDir: modelsDir, WorkDir: workDir, CapacityBytes: int64(plan.GetCapacityBytes()),
		LoadTimeout:           loadingTimeout(plan),
		MaxLoadingConcurrency: int(plan.GetMaxLoadingConcurrency()),
		Env:                   environ(plan.GetEnv()),
	})
	if err != nil {
		return Spec{}, err
	}
	program, err := l.config.runtimeProgram(plan.GetServerType(), process)
	if err != nil {
		return Spec{}, err
	}
	for _, dir := range []string{workDir, modelsDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return Spec{}, fmt.Errorf("make directory of %s: %w", p.id, err)
		}
	}
	return Spec{
		Name: p.runtimeName(), Program: program, Args: process.Args, Env: append(os.Environ(), process.Env...), Dir: workDir,
		Ours: process.Ours, Grace: runtimeGrace,
		Ports: map[string]string{"grpc": e.runtimeGRPC, "http": e.runtimeHTTP, "metrics": e.runtimeMetrics},
	}, nil
}

// hostSpec is of a host beside a runtime.
func (l *launcher) hostSpec(plan *adminv1.RuntimePlan, p *place) (Spec, error) {
	args := []string{
		"--namespace", plan.GetNamespace(),
		"--runtime", plan.GetServerType(),
		"--serving-runtime", plan.GetName(),
		"--runtime-management-address", p.endpoints.runtimeGRPC,
		"--runtime-data-address", p.endpoints.runtimeGRPC,
		"--capacity-bytes", strconv.FormatUint(plan.GetCapacityBytes(), 10),
		"--loading-concurrency", strconv.FormatUint(uint64(plan.GetMaxLoadingConcurrency()), 10),
		"--loading-timeout", loadingTimeout(plan).String(),
	}
	if n := plan.GetPerModelConcurrency(); n > 0 {
		args = append(args, "--per-model-concurrency", strconv.FormatUint(uint64(n), 10))
	}
	return l.anyHostSpec(p, args)
}

// anyHostSpec is of a host that has those arguments besides what every host has.
func (l *launcher) anyHostSpec(p *place, own []string) (Spec, error) {
	program, err := findProgram(l.config.BinDir, hostProgram)
	if err != nil {
		return Spec{}, err
	}
	if err := os.MkdirAll(l.paths.host(p.id), 0o755); err != nil {
		return Spec{}, fmt.Errorf("make directory of %s: %w", p.id, err)
	}
	e := p.endpoints
	args := append([]string{"--standalone", "--host-id", p.id}, own...)
	args = append(args,
		"--models-dir", l.paths.models(p.id),
		"--state-dir", l.paths.state(p.id),
		"--controller", l.paths.syncAddress(),
		"--grpc-address", e.grpc,
		"--rest-address", e.rest,
		"--metrics-address", e.metrics,
		"--health-address", e.health,
		"--peer-address", e.peer,
		"--gossip-address", e.gossip,
		"--mesh-key-file", l.paths.meshKeyFile(),
		// Whoever stops this mesh wants it to end; its hosts would hand their copies to others that end too.
		"--handover-on-signal=false",
	)
	if p.zone != "" {
		args = append(args, "--zone", p.zone)
	}
	return Spec{
		Name: p.id, Program: program, Args: append(args, l.config.HostArgs...), Env: os.Environ(), Dir: l.paths.host(p.id),
		Ours: true, Grace: hostGrace, Leaves: true,
		Ports: map[string]string{
			"grpc": e.grpc, "rest": e.rest, "metrics": e.metrics, "health": e.health, "peer": e.peer, "gossip": e.gossip,
		},
	}, nil
}

func loadingTimeout(plan *adminv1.RuntimePlan) time.Duration {
	return time.Duration(plan.GetModelLoadingTimeoutMs()) * time.Millisecond
}

func environ(vars []*adminv1.RuntimePlan_EnvVar) []string {
	env := make([]string, 0, len(vars))
	for _, v := range vars {
		env = append(env, v.GetName()+"="+v.GetValue())
	}
	return env
}
