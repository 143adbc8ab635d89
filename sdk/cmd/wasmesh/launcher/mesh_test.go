package launcher

import (
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// valueOf answers what follows a flag among arguments.
func valueOf(args []string, flag string) string {
	if i := slices.Index(args, flag); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return ""
}

// Hosts of one mesh know each other by one key, listen for each other, and are spread over the zones.
func TestUpMakesOneMeshOfItsHosts(t *testing.T) {
	s := newStage(t)
	s.config.HostsPerRuntime, s.config.Gateway, s.config.Zones = 3, true, []string{"a", "b"}
	limited := fakePlan("r")
	limited.PerModelConcurrency = 4
	s.write(limited)
	up := s.up()
	started := s.awaitAll("started", "gateway-0", "r-0", "r-1", "r-2")

	key := filepath.Join(s.config.DataDir, "mesh.key")
	content, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := hex.DecodeString(strings.TrimSpace(string(content))); err != nil || len(raw) != 32 {
		t.Errorf("the key is %q", content)
	}
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info.Mode(), err)
	}
	addresses := map[string]string{}
	for name, want := range map[string]struct {
		zone, runtime, limit string
		index                int
	}{
		"gateway-0": {"a", "none", "", 0}, "r-0": {"a", "fake", "4", 1}, "r-1": {"b", "fake", "4", 2}, "r-2": {"a", "fake", "4", 3},
	} {
		args, ports := started[name].Args, s.record(name).Ports
		if got := valueOf(args, "--zone"); got != want.zone {
			t.Errorf("%s is in zone %q, want %q", name, got, want.zone)
		}
		if got := valueOf(args, "--runtime"); got != want.runtime {
			t.Errorf("%s has runtime %q, want %q", name, got, want.runtime)
		}
		if got := valueOf(args, "--per-model-concurrency"); got != want.limit {
			t.Errorf("%s takes %q requests a model, want %q", name, got, want.limit)
		}
		if got := valueOf(args, "--mesh-key-file"); got != key {
			t.Errorf("%s has its key in %q, want %q", name, got, key)
		}
		if !slices.Contains(args, "--handover-on-signal=false") {
			t.Errorf("%s hands over when the mesh stops: %v", name, args)
		}
		if ports["grpc"] != mustOffset(t, s.config.GRPCAddress, want.index) || ports["rest"] != mustOffset(t, s.config.RESTAddress, want.index) {
			t.Errorf("%s is on %v, want the addresses of number %d", name, ports, want.index)
		}
		for _, port := range []string{"peer", "gossip"} {
			if ports[port] == "" || valueOf(args, "--"+port+"-address") != ports[port] {
				t.Errorf("%s: %s address %q in its record, %q on its command line", name, port, ports[port], valueOf(args, "--"+port+"-address"))
			}
		}
		for port, address := range ports {
			if other := addresses[address]; other != "" {
				t.Errorf("%s is for %s and for the %s of %s", address, other, port, name)
			}
			addresses[address] = name + " " + port
		}
	}
	up.cancel()
	if err := up.end(); err != nil {
		t.Errorf("Up = %v", err)
	}

	// The next mesh in the directory has the same key.
	s.config.Gateway = false
	s.up()
	s.await("started", "r-0")
	if again, err := os.ReadFile(key); err != nil || string(again) != string(content) {
		t.Errorf("the second mesh has another key: %q, %v", again, err)
	}
}

func TestUpRefusesABrokenMeshKey(t *testing.T) {
	s := newStage(t)
	s.write(fakePlan("r"))
	if err := os.MkdirAll(s.config.DataDir, 0o755); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(s.config.DataDir, "mesh.key")
	for _, content := range []string{"", "0123", strings.Repeat("g", 64), strings.Repeat("0", 66)} {
		if err := os.WriteFile(key, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.up().end(); err == nil || !containsAll(err.Error(), []string{key, "64", "remove it"}) {
			t.Errorf("Up with key %q = %v", content, err)
		}
	}
	// What a launcher left that was killed while it wrote says nothing.
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key+".new", []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	paths, err := PathsOf(s.config.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	if err := paths.makeMeshKey(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the new key's file: %v, %v", info.Mode(), err)
	}
	// One that others could read is the owner's alone from now on.
	if err := os.WriteFile(key, []byte(strings.Repeat("0f", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	s.up()
	s.await("started", "r-0")
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info.Mode(), err)
	}
}

// Only so many hosts have neighbouring ports; the others are where there is room.
func TestManyHostsHavePorts(t *testing.T) {
	ip := loopback()
	l := &launcher{config: Config{GRPCAddress: ip + ":8033", RESTAddress: ip + ":8008"}, ports: &ports{}}
	defer l.ports.close()
	if err := l.claimPorts(); err != nil {
		t.Fatal(err)
	}
	taken := map[string]bool{}
	for index := range 40 {
		e, err := l.endpoints(index)
		if err != nil {
			t.Fatalf("host %d: %v", index, err)
		}
		if near := e.grpc == fmt.Sprintf("%s:%d", ip, 8033+index); near != (index <= 24) {
			t.Errorf("host %d has gRPC on %s", index, e.grpc)
		}
		if near := e.rest == fmt.Sprintf("%s:%d", ip, 8008+index); near != (index <= 24) {
			t.Errorf("host %d has REST on %s", index, e.rest)
		}
		for _, address := range []string{e.grpc, e.rest, e.metrics, e.health, e.peer, e.gossip, e.runtimeGRPC, e.runtimeHTTP, e.runtimeMetrics} {
			if _, _, err := net.SplitHostPort(address); err != nil || taken[address] {
				t.Errorf("host %d: %q is no address, or another's", index, address)
			}
			taken[address] = true
		}
	}
}

func TestUpRefusesZonesWithoutName(t *testing.T) {
	for _, zones := range [][]string{{""}, {"a", ""}, {"a", " b"}, {"a\tb"}} {
		_, err := prepare(Config{HostsPerRuntime: 1, Zones: zones})
		if err == nil || !strings.Contains(err.Error(), "--zones") {
			t.Errorf("zones %q: %v", zones, err)
		}
	}
}

func TestZonesGoRound(t *testing.T) {
	l := &launcher{config: Config{Zones: []string{"a", "b", "c"}}}
	got := ""
	for k := range 7 {
		got += l.zone(k)
	}
	if got != "abcabca" {
		t.Errorf("zones %q", got)
	}
	if zone := new(launcher).zone(3); zone != "" {
		t.Errorf("without zones: %q", zone)
	}
}
