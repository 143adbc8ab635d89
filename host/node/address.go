package node

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/wasmesh/wasmesh/host/peers"
)

// advertised is how others reach a listener: at the host's own address when that was given; else as it is bound; else, for
// one that is bound to all addresses, at the first address of this machine that is not its loopback.
func advertised(listener net.Addr, own string) string {
	host, port, err := net.SplitHostPort(listener.String())
	if err != nil {
		return listener.String()
	}
	if own != "" {
		return net.JoinHostPort(own, port)
	}
	if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() {
		return net.JoinHostPort(host, port)
	}
	return net.JoinHostPort(cmp.Or(ownAddress(), "127.0.0.1"), port)
}

// ownAddress is empty for a machine without a network.
func ownAddress() string {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	var six string
	for _, address := range addresses {
		network, ok := address.(*net.IPNet)
		if !ok || !network.IP.IsGlobalUnicast() {
			continue
		}
		if four := network.IP.To4(); four != nil {
			return four.String()
		}
		six = cmp.Or(six, network.IP.String())
	}
	return six
}

// maxMeshKeys are accepted at once: one, and what replaces it.
const maxMeshKeys = 4

// readMeshKeys reads the keys of the mesh, 64 hexadecimal digits a line: the first is to be used, all to be accepted.
func readMeshKeys(path string) ([][]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read mesh key: %w", err)
	}
	var keys [][]byte
	for _, line := range strings.Fields(string(content)) {
		key, err := hex.DecodeString(line)
		if err != nil || len(key) != peers.KeySize {
			return nil, fmt.Errorf("read mesh key: %s has to hold 64 hexadecimal digits a line and nothing else", path)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 || len(keys) > maxMeshKeys {
		return nil, fmt.Errorf("read mesh key: %s holds %d keys, want 1 to %d", path, len(keys), maxMeshKeys)
	}
	return keys, nil
}

// peersDNS is "name:port" of --peers-dns: without a port, all hosts have gossip on the one that this host has.
func peersDNS(name, gossip string) (string, error) {
	if name == "" {
		return "", nil
	}
	if _, _, err := net.SplitHostPort(name); err == nil {
		return name, nil
	}
	_, port, err := net.SplitHostPort(gossip)
	if err != nil {
		return "", fmt.Errorf("--gossip-address: %w", err)
	}
	return net.JoinHostPort(name, port), nil
}

// gossipAdvertised is how others reach gossip that is bound to this address: empty when it is as it is bound. A port of 0
// stands for the one that is bound.
func gossipAdvertised(bind, own string) (string, error) {
	host, port, err := net.SplitHostPort(bind)
	if err != nil {
		return "", fmt.Errorf("--gossip-address: %w", err)
	}
	if own != "" {
		return net.JoinHostPort(own, port), nil
	}
	if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() {
		return "", nil
	}
	return net.JoinHostPort(cmp.Or(ownAddress(), "127.0.0.1"), port), nil
}
