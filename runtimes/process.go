package runtimes

import "time"

// ProcessConfig says where a local inference server shall listen and what it may use. Addresses are "host:port" on the
// loopback; a server type ignores those that it has no use for.
type ProcessConfig struct {
	GRPCAddress, HTTPAddress, MetricsAddress string
	// ModelsDir is shared with the host, absolute.
	ModelsDir string
	// WorkDir is the writable working directory, absolute.
	WorkDir               string
	CapacityBytes         int64
	LoadTimeout           time.Duration
	MaxLoadingConcurrency int
	// Env is the environment of the ServingRuntime's container, "NAME=value". What the user set wins, except for
	// addresses and directories, which are the launcher's.
	Env []string
}

// Process is how to run an inference server as a local process: what a ServingRuntime's container is in a cluster.
type Process struct {
	// Program is the name of an executable.
	Program string
	Args    []string
	// Env is added to the environment of the launcher.
	Env []string
	// Ours: the program ends when its standard input does.
	Ours bool
	// Install is the command that makes Program available, for the error when it is missing.
	Install string
}
